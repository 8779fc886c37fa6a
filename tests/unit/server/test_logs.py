"""How a process of the server logs, and that tests which configure it leave nothing behind."""

from __future__ import annotations

import logging

import pytest

from modelwire.server.logs import configure_logging


@pytest.mark.parametrize("_time", ["once", "and again, as another test"])
def test_libraries_say_less_and_the_next_test_finds_logging_as_it_was(
    _time: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert logging.getLogger("modelwire").level == logging.NOTSET
    assert caplog.handler in logging.getLogger().handlers
    configure_logging("debug")
    logging.getLogger("modelwire.server").debug("of ours")
    logging.getLogger("sqlalchemy").info("of a library")
    logging.getLogger("sqlalchemy").warning("a warning")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("DEBUG   modelwire.server: of ours")
    assert second.endswith("WARNING sqlalchemy: a warning")
