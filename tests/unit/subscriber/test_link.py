import pytest

from modelwire.subscriber import errors
from modelwire.subscriber.retry import Retry, decide, log


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (errors.ConnectionLost("", 4401), Retry.SLOW),
        (errors.ConnectionFailed("", 401), Retry.SLOW),
        (errors.ConnectionFailed("", 403), Retry.SLOW),
        (errors.OperationFailed("", frozenset({"UNAUTHENTICATED"})), Retry.SLOW),
        (errors.OperationFailed("", frozenset({"INTERNAL", "FORBIDDEN"})), Retry.SLOW),
        (errors.ConnectionLost("", 1012), Retry.SPREAD),
        (errors.ConnectionLost("", 1013), Retry.SOON),
        (errors.ConnectionLost("", 4403), Retry.SOON),
        (errors.ConnectionLost("", 1000), Retry.SOON),
        (errors.ConnectionLost("", None), Retry.SOON),
        (errors.ConnectionFailed("", 404), Retry.SOON),
        (errors.ConnectionFailed("", None), Retry.SOON),
        (errors.OperationFailed("", frozenset({"UNAVAILABLE"})), Retry.SOON),
        (errors.OperationFailed(""), Retry.SOON),
        (errors.LinkSilent(""), Retry.SOON),
        (errors.ProtocolError(""), Retry.SOON),
        (errors.TokenUnavailable(""), Retry.SOON),
        (KeyError("bug"), Retry.SOON),
    ],
)
def test_decide(error: Exception, retry: Retry) -> None:
    assert decide(error) is retry


def test_a_bug_is_shown_in_full_once(caplog: pytest.LogCaptureFixture) -> None:
    """A link comes back for ever, and would fill the disk with what is known."""
    with caplog.at_level("INFO"):
        for repeated in (False, True):
            log(ZeroDivisionError("canary"), Retry.SOON, "coming back in 1 s", repeated=repeated)
    first, second = caplog.records
    assert (first.levelname, first.exc_info is not None) == ("ERROR", True)
    assert (second.levelname, second.exc_info) == ("INFO", None)
    assert second.message == "the link failed with an unexpected ZeroDivisionError; coming back in 1 s"
