from __future__ import annotations

import json
import logging

import pytest

from modelwire.server import log_context
from modelwire.server.logs import configure_logging


@pytest.fixture(autouse=True)
def uvicorn_as_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process may have had uvicorn set up its own logging, which the server does not."""
    for name in ("uvicorn", "uvicorn.error"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)


def logged(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    (line,) = capsys.readouterr().err.splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def test_a_message_is_one_object_with_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    logging.getLogger("modelwire.tests").info("über %s\nlines", 2)
    line = logged(capsys)
    assert (line["level"], line["logger"], line["message"]) == ("info", "modelwire.tests", "über 2\nlines")
    assert line.keys() == {"time", "level", "logger", "message", "process"}
    log_context.request.set("r-1")
    log_context.component.set("c-1")
    logging.getLogger("modelwire.tests").info("more", extra={"revision": "x-7"})
    line = logged(capsys)
    assert (line["request"], line["component"], line["revision"]) == ("r-1", "c-1", "x-7")


def test_an_exception_stays_on_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    try:
        raise ValueError("wrong")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("failed")
    line = logged(capsys)
    assert line["message"] == "failed"
    assert str(line["error"]).endswith("ValueError: wrong")


def test_text_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning")
    logging.getLogger("modelwire.tests").info("unseen")
    logging.getLogger("modelwire.tests").warning("seen")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING modelwire.tests: seen")
