"""Other people's engines on the same graphs of no-op tasks; runs in an environment of its own.

    bench/.env/bin/python -m bench.peers doit fan 1000

Prints µs of CPU per task, the building of the graph left out wherever the peer lets us. `doit` runs
its tasks in process, one after the other (it has no async). Hamilton's async driver is asked for the
last node of the graph (of all nodes where several are last).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
import types
from collections.abc import Callable

from bench.graphs import SHAPES

Graph = list[list[int]]


def doit(graph: Graph) -> float:
    from doit.control import TaskControl
    from doit.dependency import Dependency, JsonDB
    from doit.reporter import ZeroReporter
    from doit.runner import Runner
    from doit.task import Task

    ran = 0

    def nothing() -> bool:
        nonlocal ran
        ran += 1
        return True

    tasks = [Task(f"t{i}", [nothing], task_dep=[f"t{d}" for d in deps]) for i, deps in enumerate(graph)]
    control = TaskControl(tasks)
    control.process(None)
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(Dependency(JsonDB, f"{folder}/doit.db"), ZeroReporter(sys.stderr, {}))
        began = time.process_time()
        runner.run_tasks(control.task_dispatcher())
        spent = time.process_time() - began
    if ran != len(graph):
        raise SystemExit(f"doit ran {ran} of {len(graph)} tasks")
    return spent


def hamilton(graph: Graph) -> float:
    from hamilton import async_driver

    module = types.ModuleType("graph_under_test")
    lines = [
        f"async def t{i}({', '.join(f't{d}: int' for d in deps)}) -> int:\n    return 1" for i, deps in enumerate(graph)
    ]
    exec("\n\n".join(lines), module.__dict__)  # noqa: S102 - our own generated functions
    for name, function in list(vars(module).items()):
        if name.startswith("t"):
            function.__module__ = module.__name__
    sys.modules[module.__name__] = module
    needed = {d for deps in graph for d in deps}
    wanted = [f"t{i}" for i in range(len(graph)) if i not in needed]

    async def run() -> float:
        driver = await async_driver.Builder().with_modules(module).build()
        began = time.process_time()
        await driver.execute(wanted)
        return time.process_time() - began

    return asyncio.run(run())


PEERS: dict[str, Callable[[Graph], float]] = {"doit": doit, "hamilton": hamilton}


def main() -> None:
    peer, shape, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    print(f"{PEERS[peer](SHAPES[shape](count)) / count * 1e6:.1f}")


if __name__ == "__main__":
    main()
