"""All benchmarks, by name."""

from __future__ import annotations

from types import ModuleType

from . import (
    acknowledgements,
    churn,
    connections,
    fanout,
    groups,
    idle,
    litellm_import,
    mutations,
    propagation,
    queries,
    spread,
    stop,
    subscriber,
    token_expiry,
)

_MODULES = (
    fanout,
    groups,
    spread,
    propagation,
    acknowledgements,
    connections,
    churn,
    idle,
    queries,
    mutations,
    subscriber,
    stop,
    token_expiry,
    litellm_import,
)

BENCHMARKS: dict[str, ModuleType] = {module.__name__.rpartition(".")[2]: module for module in _MODULES}
"""Modules with a docstring that says what is measured, and `run(lab)`, which gives the figures."""
