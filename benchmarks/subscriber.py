"""What Modelwire costs inside a component: its import, a start from the cache while the server is away, and a swap.

Each import is that of a new process, without what Python itself takes; the peer is `import litellm`, which the
subscriber puts off to the first call. The cold start is from entering the provider to a model that is ready, with no
time given to the server to answer. The swap is one event of the subscription, as data, until calls are made with it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from .figures import Figure, Goal
from .lab import Lab
from .processes import ROOT

IMPORTS = {"modelwire.subscriber": "import modelwire.subscriber", "litellm": "import litellm"}


def run(lab: Lab) -> list[Figure]:
    return [_imports(lab), *_inside(lab, lab.choose(9, 1))]


def _imports(lab: Lab) -> Figure:
    imports = lab.choose(IMPORTS, {"modelwire.subscriber": IMPORTS["modelwire.subscriber"]})
    runs: dict[str, list[float]] = {name: [] for name in imports}
    for round_ in range(lab.choose(6, 1)):
        for name, statement in imports.items():
            millis = _timed(statement)
            # The first one reads from the disk.
            if round_ or lab.small:
                runs[name].append(millis)
    return Figure(
        name="import in a new process",
        unit="ms",
        runs=runs,
        goals=[Goal(over="modelwire.subscriber", at_most=150)],
    )


def _timed(statement: str) -> float:
    program = f"import time; began = time.perf_counter(); {statement}; print((time.perf_counter() - began) * 1e3)"
    return float(_run([sys.executable, "-c", program]))


def _inside(lab: Lab, rounds: int) -> list[Figure]:
    folder = lab.new_folder()
    cache = folder / "cache"
    figures: dict[str, list[float]] = {"cold start": [], "swap": []}
    for _ in range(rounds):
        answer = _inside_once(cache)
        figures["cold start"].append(answer["cold_start"])
        figures["swap"].append(statistics.median(answer["swaps"]))
    return [
        Figure(
            name="cold start from the cache",
            unit="ms",
            runs={"modelwire": figures["cold start"]},
            goals=[Goal(over="modelwire", at_most=50)],
        ),
        Figure(
            name="swap to a new version",
            unit="ms",
            runs={"modelwire": figures["swap"]},
            goals=[Goal(over="modelwire", at_most=1)],
        ),
    ]


def _inside_once(cache: Path) -> Any:
    return json.loads(_run([sys.executable, "-m", "benchmarks.clients.cold_start", str(cache)]))


def _run(command: list[str]) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
