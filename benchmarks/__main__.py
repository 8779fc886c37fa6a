"""`python -m benchmarks [NAME ...]`: measures all or the named ones, and prints the figures and their goals."""

from __future__ import annotations

import argparse
import contextlib
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from .figures import Figure
from .lab import Lab
from .registry import BENCHMARKS
from .report import Report, print_figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--smoke", action="store_true", help="run each one small, and fail on absurd ratios only")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    # A subscriber is a socket, here and in each server.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    report = Report()
    names = arguments.names or list(BENCHMARKS)
    if arguments.smoke:
        with _lab(small=True) as lab:
            for name in names:
                report.add(name, _measure(name, lab))
    else:
        for name in names:
            with _lab(small=False) as lab:
                report.add(name, _measure(name, lab))
    if arguments.write:
        report.write()
    absurd = report.absurd() if arguments.smoke else []
    for sentence in [*absurd, *(f"{name} failed" for name in report.failed)]:
        print(sentence, file=sys.stderr)
    return 1 if absurd or report.failed else 0


@contextlib.contextmanager
def _lab(*, small: bool) -> Iterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="modelwire-benchmark-") as folder, Lab(Path(folder), small=small) as lab:
        yield lab


def _measure(name: str, lab: Lab) -> list[Figure] | None:
    """The figures of a benchmark; None when it failed, which must not lose those of the others."""
    began = time.monotonic()
    try:
        figures: list[Figure] = BENCHMARKS[name].run(lab)
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        return None
    print_figures(name, figures, time.monotonic() - began)
    return figures


if __name__ == "__main__":
    sys.exit(main())
