from itertools import islice

import pytest

from modelwire.subscriber import backoff as module
from modelwire.subscriber.backoff import backoff


def test_the_bound_doubles_up_to_the_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.random, "uniform", lambda low, high: high)
    assert list(islice(backoff(0.5, 30), 9)) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_the_jitter_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.random, "uniform", lambda low, high: low)
    assert list(islice(backoff(0.5, 30), 3)) == [0, 0, 0]
    monkeypatch.undo()
    waits = list(islice(backoff(0.5, 30), 200))[6:]
    assert min(waits) < 10 < 20 < max(waits) <= 30
