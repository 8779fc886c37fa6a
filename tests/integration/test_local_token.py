"""The command line of the user who runs the server, on the same machine, without a token of its own."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from modelwire.cli.app import app
from modelwire.cli.errors import CommandError, ExitCode


def keys(server: Any, **environment: str) -> Any:
    given = {"MODELWIRE_URL": server.url, "MODELWIRE_DATA_DIR": str(server.data_dir), "MODELWIRE_TOKEN": ""}
    return CliRunner().invoke(app, ["api-key", "list", "--output", "json"], env=given | environment)


def refusal(result: Any) -> tuple[str, ExitCode]:
    assert isinstance(result.exception, CommandError), result.exception
    return str(result.exception), result.exception.exit_code


def test_the_command_line_of_the_same_user_needs_no_token(server_process: Any) -> None:
    server = server_process
    file = server.data_dir / f"local-{server.port}.token"
    server.start("--workers=2")
    for _ in range(8):
        # Whichever worker answers.
        assert [key["name"] for key in json.loads(keys(server).stdout)["apiKeys"]] == ["administrator"]
    token = file.read_text()
    assert token not in server.output
    assert server.stop() == 0
    assert not file.exists()

    server.start()
    assert keys(server).exit_code == 0
    stale, _ = refusal(keys(server, MODELWIRE_TOKEN=token))
    assert "not an API key" in stale
    server.kill()
    left = file.read_text()
    server.start()
    assert file.read_text() != left
    assert keys(server).exit_code == 0
    _, code = refusal(keys(server, MODELWIRE_TOKEN=left))
    assert code == ExitCode.REFUSED
    # Without the file there is none.
    file.unlink()
    assert refusal(keys(server)) == ("an API key is needed: --token, or MODELWIRE_TOKEN", ExitCode.USAGE)


def test_a_server_that_asks_nobody_needs_no_token(server_process: Any) -> None:
    server_process.start("--no-auth")
    assert [key["name"] for key in json.loads(keys(server_process).stdout)["apiKeys"]] == ["administrator"]
    assert list(server_process.data_dir.glob("*.token")) == []
    assert "NO AUTHENTICATION: every user and program of this machine may do everything here" in server_process.output
