"""The JSON Schema and the reference page say what the loader does: they come from the same definitions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from test_loader import EVERYTHING

from llmflow.errors import PipelineError
from llmflow.language.data_types import Parameters, plain_data
from llmflow.language.field_types import FieldType
from llmflow.language.fields import PIPELINE
from llmflow.language.loader import load
from llmflow.language.reading import Reading
from llmflow.language.records import Draft, Record, records_in
from llmflow.language.reference import reference_page
from llmflow.language.schema import json_schema
from llmflow.language.source import Source
from llmflow.language.task_fields import TASK
from llmflow.language.yaml_reader import read_yaml

ROOT = Path(__file__).parent.parent
VALIDATOR = jsonschema.Draft7Validator(json_schema())


def data_of(text: str) -> Any:
    source = Source("f", text)
    return plain_data(read_yaml(source)[0], Reading(source, Path()))


RIGHT = [
    EVERYTHING,
    "tasks: {t: {prompt: x}}",
    "tasks: {t: {prompt: x, timeout: 1h30m, retry: {on: timeout}, estimate: {p50: 1s, p95: 2.5s}, when: true}}",
    "tasks: {t: {prompt: x, params: {temperature: '{{ inputs.t }}', top_k: 3, stop: END}, model: openai/a}}",
    "tasks: {t: {prompt: x, output: {json_schema: {type: string}, validate: ['output == 1']}, on_error: continue}}",
    "{scheduling: {hedge_extra: 12.5%}, tasks: {t: {prompt: x, hedge: {after: p95, max: 2}}}}",
    "tasks: {u: {prompt: x, hedge: true}}",
    "{tasks: {t: {value: null}}, inputs: {a: , b: {type: list, default: [1]}}, providers: {openai: }}",
    "{tasks: {t: {value: x}}, outputs: {a b: x}}",
    "tasks: {t: {foreach: [1, {a: b}], prompt: x}, u: {foreach: '{{ tasks.t.outputs }}', prompt: x}}",
    "tasks: {t: {foreach: {items: {zip: [[1], '{{ inputs.x }}']}, as: pair, tolerate: 2.5%}, prompt: '{{ pair }}'}}",
    "tasks: {t: {matrix: {a: [1], b: '{{ inputs.b }}'}, value: '{{ item.a }}'}}",
    "tasks: {t: {reduce: {items: '{{ inputs.x }}', mode: tree, batch: 3}, prompt: '{{ items }}'}}",
    "tasks: {t: {repeat: {until: true, max_iterations: 1}, command: [ls, '']}}",
    "tasks: {t: {command: 'ls | wc', shell: true, args: ['{{ inputs.x }}'], env: {A: x}, stdin: [1]}}",
    "tasks: {t: {http: {url: '{{ inputs.url }}/x', json: null, method: PUT}, timeout: 3s}}",
    "tasks: {t: {python: 'a.b:c', with: {items: 1}, retry: {max_attempts: 3}}}",
    "{tasks: {t: {approve: Sure?}}, finally: {e: {value: '{{ run.status }}'}}, providers: {host: {workers: 2}}}",
]

WRONG = [
    "{}",
    "tasks: {}",
    "tasks: {t: {}}",
    "tasks: {t: {prompt: x, value: 1}}",
    "tasks: {t: {prompt: 3}}",
    "tasks: {t: {prompt: ''}}",
    "tasks: {t: {promt: x}}",
    "tasks: {my-task: {prompt: x}}",
    "tasks: {t: {prompt: x, timeout: 90}}",
    "tasks: {t: {prompt: x, timeout: '90'}}",
    "tasks: {t: {prompt: x, timeout: 5 minutes}}",
    "tasks: {t: {prompt: x, timeout: ''}}",
    "tasks: {t: {prompt: x, trigger_rule: always}}",
    "tasks: {t: {prompt: x, priority: high}}",
    "tasks: {t: {prompt: x, params: {temperature: warm}}}",
    "tasks: {t: {prompt: x, params: {max_tokens: 3}}}",
    "tasks: {t: {prompt: x, retry: {max_attempts: 0}}}",
    "tasks: {t: {prompt: x, retry: {on: nothing}}}",
    "tasks: {t: {prompt: x, on_error: ignore}}",
    "tasks: {t: {prompt: x, on_error: {}}}",
    "tasks: {t: {messages: []}}",
    "tasks: {t: {messages: [{role: human, content: x}]}}",
    "tasks: {t: {messages: [{role: user}]}}",
    "{tasks: {t: {prompt: x}}, scheduling: {workers: 0}}",
    "{tasks: {t: {prompt: x}}, scheduling: {policy: fastest}}",
    "{tasks: {t: {prompt: x}}, providers: {a: {kind: openia}}}",
    "{tasks: {t: {prompt: x}}, providers: {a: {kind: openai, base_url: 'ftp://x'}}}",
    "{tasks: {t: {prompt: x}}, inputs: {a: string}}",
    "{tasks: {t: {prompt: x}}, env: HOME}",
    "{tasks: {t: {prompt: x}}, models: {a: []}}",
    "tasks: {t: {foreach: 3, prompt: x}}",
    "tasks: {t: {foreach: rows.jsonl, prompt: x}}",
    "tasks: {t: {foreach: 'all {{ inputs.x }}', prompt: x}}",
    "tasks: {t: {foreach: {as: row}, prompt: x}}",
    "tasks: {t: {foreach: {file: a.jsonl, as: row}, prompt: x}}",
    "tasks: {t: {foreach: {zip: []}, prompt: x}}",
    "tasks: {t: {foreach: {zip: [abc]}, prompt: x}}",
    "tasks: {t: {foreach: {items: [1], as: my-row}, prompt: x}}",
    "tasks: {t: {foreach: {items: [1], tolerate: 120%}, prompt: x}}",
    "tasks: {t: {foreach: {items: [1], tolerate: 0.05}, prompt: x}}",
    "tasks: {t: {foreach: {items: [1], workers: 0}, prompt: x}}",
    "tasks: {t: {foreach: {items: [1], window: none}, prompt: x}}",
    "tasks: {t: {foreach: {items: [1], key: ''}, prompt: x}}",
    "tasks: {t: {matrix: {}, prompt: x}}",
    "tasks: {t: {matrix: {a: one}, prompt: x}}",
    "tasks: {t: {matrix: {a: [1]}, foreach: [1], prompt: x}}",
    "tasks: {t: {reduce: {batch: 3}, prompt: x}}",
    "tasks: {t: {reduce: {items: [1], mode: map}, prompt: x}}",
    "tasks: {t: {reduce: {items: [1]}, foreach: [1], prompt: x}}",
    "tasks: {t: {reduce: {items: [1]}, repeat: {until: true, max_iterations: 2}, prompt: x}}",
    "tasks: {t: {reduce: {items: [1]}, approve: Sure?}}",
    "tasks: {t: {repeat: {until: true}, prompt: x}}",
    "tasks: {t: {repeat: {until: true, max_iterations: 0}, prompt: x}}",
    "tasks: {t: {repeat: {until: true, max_iterations: 2}, approve: Sure?}}",
    "tasks: {t: {command: []}}",
    "tasks: {t: {command: [sleep, 3]}}",
    "tasks: {t: {command: ls, args: x}}",
    "tasks: {t: {command: ls, env: [A]}}",
    "tasks: {t: {command: ls, shell: maybe}}",
    "tasks: {t: {command: 'echo {{ inputs.x }}'}}",
    "tasks: {t: {command: [echo, '{{ inputs.x }}']}}",
    "tasks: {t: {command: ls, model: openai/x}}",
    "tasks: {t: {prompt: x, stdin: x}}",
    "tasks: {t: {value: 1, timeout: 3s}}",
    "tasks: {t: {value: 1, images: a.png}}",
    "tasks: {t: {python: steps.py}}",
    "tasks: {t: {python: 'steps.py:f()'}}",
    "tasks: {t: {http: 'http://127.0.0.1/'}}",
    "tasks: {t: {http: {method: GET}}}",
    "tasks: {t: {http: {method: post, url: 'http://127.0.0.1/'}}}",
    "tasks: {t: {http: {url: 'ftp://127.0.0.1/'}}}",
    "tasks: {t: {http: {url: 'http://127.0.0.1/', headers: {'My Header': x}}}}",
    "tasks: {t: {http: {url: 'http://127.0.0.1/', json: 1, body: x, method: POST}}}",
    "tasks: {t: {uses: ''}}",
    "tasks: {t: {uses: 3}}",
    "tasks: {t: {approve: {message: Sure?}}}",
    "tasks: {t: {approve: Sure?, output: {schema: {a: string}}}}",
    "tasks: {t: {approve: Sure?, retry: {max_attempts: 2}}}",
    "{tasks: {t: {prompt: x}}, finally: [a]}",
    "{tasks: {t: {prompt: x}}, finally: {a: {}}}",
    "{tasks: {t: {prompt: x}}, finally: {a: {prompt: x, value: 1}}}",
    "{tasks: {t: {prompt: x}}, providers: {host: {workers: 0}}}",
    "{tasks: {t: {prompt: x, cache: {ttl: 7}}}}",
    "{tasks: {t: {prompt: x, hedge: {after: 90}}}}",
    "{tasks: {t: {prompt: x, hedge: {after: p100}}}}",
    "{tasks: {t: {prompt: x, hedge: {max: 0}}}}",
    "{tasks: {t: {value: 1, hedge: true}}}",
    "{scheduling: {hedge_extra: 0.08}, tasks: {t: {prompt: x}}}",
    "{scheduling: {hedge_extra: 101%}, tasks: {t: {prompt: x}}}",
    "{tasks: {t: {prompt: x}}, budget: {max_cost_usd: 3}}",
]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())


@pytest.mark.parametrize("text", RIGHT)
def test_the_schema_takes_what_the_loader_takes(text: str) -> None:
    load("-", text=text.encode())
    assert [e.message for e in VALIDATOR.iter_errors(data_of(text))] == []


@pytest.mark.parametrize("text", WRONG)
def test_the_schema_refuses_what_the_loader_refuses(text: str) -> None:
    with pytest.raises(PipelineError):
        load("-", text=text.encode())
    assert list(VALIDATOR.iter_errors(data_of(text)))


def test_every_example_fits_the_schema() -> None:
    for path in sorted((ROOT / "examples").glob("**/*.yaml")):
        assert [e.message for e in VALIDATOR.iter_errors(data_of(path.read_text(encoding="utf-8")))] == [], path


def _key_sets(schema: Any) -> Iterator[frozenset[str]]:
    """The keys of every object in the schema whose properties are listed."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield frozenset(key for key, value in schema["properties"].items() if value is not False)
        for key, value in schema.items():
            if key not in ("examples", "enum"):
                yield from _key_sets(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _key_sets(value)


def _records(kind: FieldType) -> Iterator[Record]:
    for record in [kind.known] if isinstance(kind, Parameters) else records_in(kind):
        yield record
        for field in record.fields:
            yield from _records(field.type)


def test_every_key_that_the_loader_knows_is_in_the_schema_and_the_reverse() -> None:
    known = {frozenset(record.by_name) for record in _records(PIPELINE)}
    assert set(_key_sets(json_schema())) == known


def test_every_key_of_a_task_is_taken_by_the_loader_and_another_is_not() -> None:
    source = Source("f", "{" + ", ".join(f"{key}: x" for key in [*TASK.by_name, "nosuch"]) + "}")
    reading = Reading(source, Path())
    TASK.read(read_yaml(source)[0], "t", reading)
    unknown = [p.message for p in reading.problems if p.message.startswith("unknown key")]
    assert unknown == ["unknown key `nosuch` in a task"]


def test_every_key_has_a_description_for_the_hover_of_an_editor() -> None:
    def properties(schema: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(schema, dict):
            yield from schema.get("properties", {}).items()
            for value in schema.values():
                yield from properties(value)
        elif isinstance(schema, list):
            for value in schema:
                yield from properties(value)

    found = list(properties(json_schema()))
    assert len(found) > 60
    assert [key for key, schema in found if schema is not False and not schema.get("description")] == []


def test_the_reference_page_is_what_the_definitions_say() -> None:
    page = (ROOT / "docs" / "pipeline-reference.md").read_text(encoding="utf-8")
    assert page == reference_page(), "docs/pipeline-reference.md is generated: write reference_page() to it again"


def test_the_reference_page_names_every_key() -> None:
    page = reference_page()
    for record in _records(PIPELINE):
        for field in record.fields:
            assert f"| `{field.name}` |" in page


def test_a_draft_says_what_is_written_and_where() -> None:
    source = Source("f", "{a: {default: 3}}")
    reading = Reading(source, Path())
    drafts = PIPELINE.by_name["inputs"].type.read(read_yaml(source)[0], "inputs", reading)
    draft = drafts["a"]
    assert isinstance(draft, Draft)
    assert (draft.has("default"), draft.has("type")) == (True, False)
    assert str(source.mark(draft.place("default"))) == "f:1:15"
