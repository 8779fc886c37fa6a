"""All benchmarks, by name."""

from __future__ import annotations

from types import ModuleType

from . import churn, connections, fanout, groups

BENCHMARKS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module for module in (fanout, groups, connections, churn)
}
"""Modules with a docstring that says what is measured, and `run(lab)`, which gives the figures."""
