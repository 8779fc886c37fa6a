"""The benchmarks work, and no ratio is absurd; what they say of speed is for `make bench` on a quiet machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.charts import goals_chart
from benchmarks.figures import Figure, Goal
from benchmarks.frames import PING, TEXT, FrameCounter
from benchmarks.registry import BENCHMARKS
from benchmarks.report import BEGIN, END, Report

ROOT = Path(__file__).parents[2]

FIGURE = Figure(
    name="a thing",
    unit="ms",
    runs={"modelwire": [2.0, 1.0, 4.0], "stock": [10.0, 30.0, 20.0]},
    goals=[
        Goal(over="stock", under="modelwire", at_least=4),
        Goal(over="modelwire", under="stock", at_most=0.1),
        Goal(over="modelwire", at_most=3),
    ],
)


def test_all_of_them_run_small() -> None:
    # That one waits for nothing but the import of LiteLLM; `make bench-smoke` has it too.
    names = set(BENCHMARKS) - {"litellm_import"}
    command = [sys.executable, "-m", "benchmarks", "--smoke", *sorted(names)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_ratios_are_computed_run_by_run() -> None:
    assert [(spread.median, spread.least, spread.most, met) for _, spread, met in FIGURE.judged()] == [
        (5.0, 5.0, 30.0, True),
        (0.2, pytest.approx(1 / 30), 0.2, False),
        (2.0, 1.0, 4.0, True),
    ]


def test_a_ratio_is_absurd_when_it_misses_by_far_and_a_time_never_is() -> None:
    runs = {"modelwire": [100.0], "stock": [10.0]}
    figure = Figure(name="a thing", unit="ms", runs=runs, goals=FIGURE.goals)
    assert figure.absurd() == [
        "a thing: stock / modelwire ≥ 4, and it is 0.1",
        "a thing: modelwire / stock ≤ 0.1, and it is 10",
    ]
    assert FIGURE.absurd() == []


def test_frames_are_counted_wherever_their_bytes_are_cut() -> None:
    frames = [(TEXT, 5), (PING, 3), (TEXT, 300), (TEXT, 70_000), (TEXT, 126)]
    heads = [
        b"\x81\x05",
        b"\x89\x03",
        b"\x81\x7e\x01\x2c",
        b"\x81\x7f" + (70_000).to_bytes(8, "big"),
        b"\x81\x7e\x00\x7e",
    ]
    bodies = [b"abc" if kind == PING else b"\x81" * length for kind, length in frames]
    stream = b"".join(head + body for head, body in zip(heads, bodies, strict=True))
    for size in (1, 2, 3, 7, 1_000, len(stream)):
        counter = FrameCounter()
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        found = [frame for piece in pieces for frame in counter.feed(piece)]
        assert [(kind, length) for kind, length, _ in found] == frames
        assert [payload for kind, _, payload in found if kind == PING] == [b"abc"]
        assert counter.between_frames


def test_a_report_replaces_what_was_measured_before_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"above\n{BEGIN}\nof last year\n{END}\nbelow\n")
    report = Report()
    report.add("thing", [FIGURE])
    report.add("other", None)
    report.write(tmp_path)
    text = page.read_text()
    assert text.startswith(f"above\n{BEGIN}\n")
    assert text.endswith(f"{END}\nbelow\n")
    assert "of last year" not in text
    assert "| a thing | stock / modelwire ≥ 4 | 5 | 5 to 30 | met |" in text
    assert "| a thing | modelwire / stock ≤ 0.1 | 0.2 | 0.0333 to 0.2 | **missed** |" in text
    assert "Failed in this run: other." in text
    results = json.loads((tmp_path / "performance.json").read_text())
    assert results["figures"]["thing"][0]["runs"] == {"modelwire": [2.0, 1.0, 4.0], "stock": [10.0, 30.0, 20.0]}
    assert results["failed"] == ["other"]


def test_a_chart_shows_each_goal() -> None:
    chart = goals_chart([FIGURE], "2026, 2 cores")
    assert chart.count("<circle") == 3
    assert "stock / modelwire ≥ 4" in chart
