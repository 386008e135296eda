"""Statistics as a table, as data and as CSV."""

from __future__ import annotations

import json

from llmflow.reports.stats import render_stats, stats_csv, stats_json
from llmflow.scheduling.statistics import TaskStatistics, summary

ROWS = [
    TaskStatistics("classify", "local/small", summary([1.0, 2.0, 3.0, 4.0]), 1, 812.5, 12.0),
    TaskStatistics("=cmd|'/c calc'!A0", "", summary([]), 2, None, None),
    TaskStatistics("wide\x1b[2J\n日本", "openai/[/nope]", summary([1234.5]), 0, 12345.0, 6.0),
]


def test_the_table_of_statistics() -> None:
    assert render_stats(ROWS) == (
        "TASK          MODEL           COUNT  FAILED       MEAN      SD        P50        P90  TOKENS IN  OUT\n"
        "classify      local/small         4       1     2.50 s  1.29 s     2.50 s     3.70 s        812   12\n"
        "=cmd|'/c ca…  -                   0       2          -       -          -          -          -    -\n"
        "wide 日本     openai/[/nope]      1       0  1234.50 s  0.00 s  1234.50 s  1234.50 s     12,345    6"
    )


def test_an_empty_history_says_what_to_do() -> None:
    assert render_stats([]) == "no samples yet: run a pipeline first"


def test_statistics_as_data() -> None:
    record = stats_json(ROWS)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["schema"] == "llmflow.stats/1"
    assert record["rows"][0] == {
        "task": "classify",
        "model": "local/small",
        "count": 4,
        "failed": 1,
        "mean": 2.5,
        "sd": 1.2909944487358056,
        "p50": 2.5,
        "p90": 3.7,
        "min": 1.0,
        "max": 4.0,
        "input_tokens": 812.5,
        "output_tokens": 12.0,
    }


def test_csv_cells_cannot_become_formulas_or_lines() -> None:
    assert stats_csv(ROWS) == (
        "task,model,count,failed,mean,sd,p50,p90,min,max,input_tokens,output_tokens\n"
        "classify,local/small,4,1,2.5,1.2909944487358056,2.5,3.7,1.0,4.0,812.5,12.0\n"
        "'=cmd|'/c calc'!A0,,0,2,0.0,0.0,0.0,0.0,0.0,0.0,,\n"
        "wide 日本,openai/[/nope],1,0,1234.5,0.0,1234.5,1234.5,1234.5,1234.5,12345.0,6.0\n"
    )
