from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from modelwire.server import run
from modelwire.server.app import Start, create_app
from modelwire.server.database import StartError
from modelwire.server.metrics import MULTIPROCESS_FOLDER
from modelwire.server.run import _listen, _Server, _work, announce, run_server
from modelwire.server.settings import Settings
from modelwire.subscriber.timing import Timing

KEY = "mw_aaaaaaaaaa_" + "0" * 64


def settings(tmp_path: Path, **values: Any) -> Settings:
    return Settings(**{"data_dir": tmp_path / "data", "admin_key": None, "encryption_keys": None, **values})


def test_a_port_in_use_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} of 127.0.0.1 is in use: .* --port or MODELWIRE_PORT"):
            run_server(settings(tmp_path, port=port))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["192.0.2.1", "not a host"])
def test_a_host_that_is_not_here_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(StartError, match="is no address of this machine"):
        run_server(settings(tmp_path, host=host, port=0))


@contextmanager
def no_room() -> Iterator[None]:
    """Files of this process cannot grow, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_workers_that_cannot_count_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    with no_room(), pytest.raises(StartError, match=r"has no room for what a worker counts .* TMPDIR"):
        run_server(settings(tmp_path, port=0, workers=2))
    assert list(tmp_path.iterdir()) == []


def test_a_worker_says_that_it_has_no_room_instead_of_being_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(MULTIPROCESS_FOLDER, str(tmp_path))
    monkeypatch.setattr(run, "configure_logging", lambda *_: None)
    given = settings(tmp_path, port=0)
    with _listen(given) as listener, no_room(), pytest.raises(SystemExit):
        _work(given, listener, "")
    assert f"{tmp_path} has no room for what a worker counts" in caplog.text


def test_no_answer_waits_for_the_acknowledgement_of_the_one_before(tmp_path: Path) -> None:
    with _listen(settings(tmp_path, port=0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_the_server_is_as_patient_with_components_as_they_are_with_it(tmp_path: Path) -> None:
    given = settings(tmp_path)
    assert _Server(create_app(given, None), given).config.ws_ping_timeout == Timing().silence_seconds


async def test_a_signal_wakes_the_server_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "TICK_SECONDS", 3600.0)
    given = settings(tmp_path)
    server = _Server(create_app(given, None), given)
    server.config.load()
    server._loop = asyncio.get_running_loop()
    running = asyncio.create_task(server.main_loop())
    await asyncio.sleep(0)
    assert not running.done()
    server.handle_exit(signal.SIGTERM, None)
    async with asyncio.timeout(120):
        await running


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return {
        name: value.strip() for name, _, value in (line.partition(":") for line in capsys.readouterr().out.splitlines())
    }


def test_the_first_start_is_announced_with_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announce(Start(settings=settings(tmp_path), key_file_made=True, admin_key=KEY))
    said = lines(capsys)
    assert said["Administrator key"].split()[0] == KEY
    assert said["GraphQL"] == "http://127.0.0.1:8400/graphql"
    assert "keep a copy" in said["Encryption keys"]


def test_a_later_start_is_announced_without_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announce(Start(settings=settings(tmp_path), key_file_made=False, admin_key=None))
    said = lines(capsys)
    assert "Administrator key" not in said
    assert said["Encryption keys"] == str(tmp_path / "data" / "modelwire.db.key")


def test_given_secrets_are_announced_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = settings(tmp_path, admin_key=KEY, encryption_keys="canary-keys")
    announce(Start(settings=given, key_file_made=False, admin_key=None))
    said = lines(capsys)
    assert said["Administrator key"] == "as set by MODELWIRE_ADMIN_KEY"
    assert said["Encryption keys"] == "MODELWIRE_ENCRYPTION_KEYS"


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "http://127.0.0.1:8400"), ("::", "http://[::1]:8400"), ("fd00::1", "http://[fd00::1]:8400")],
)
def test_the_address_can_be_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str, address: str) -> None:
    announce(Start(settings=settings(tmp_path, host=host), key_file_made=False, admin_key=None))
    assert lines(capsys)["Console"] == address


def test_the_repr_of_a_start_hides_the_key(tmp_path: Path) -> None:
    assert KEY not in repr(Start(settings=settings(tmp_path), key_file_made=True, admin_key=KEY))


def test_without_authentication_it_says_so_loudly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announce(Start(settings=settings(tmp_path, no_auth=True), key_file_made=False, admin_key=None))
    assert "every user and program of this machine" in lines(capsys)["NO AUTHENTICATION"]
    announce(Start(settings=settings(tmp_path), key_file_made=False, admin_key=None))
    assert "NO AUTHENTICATION" not in lines(capsys)


def test_a_name_that_is_another_address_here_is_none_of_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: elsewhere)
    with pytest.raises(StartError, match=r"--no-auth needs a loopback address .*, and localhost is 192\.0\.2\.1"):
        run_server(settings(tmp_path, host="localhost", no_auth=True))
    assert list(tmp_path.iterdir()) == []
