"""What a command sends of a file: its text within the server's limit, and the variables that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwire.cli.errors import CommandError, ExitCode
from modelwire.cli.files import MAX_FILE_BYTES, import_input, read_file
from modelwire.resolvers.importing import MAX_BYTES
from modelwire.resolvers.params import is_secret_name

CANARY = "canary-5f1d"
SECRET_NAMES = [
    "LLM_SERVICE_API_KEY",
    "KEY",
    "AWS_SECRET_ACCESS_KEY",
    "GITHUB_TOKEN",
    "TOKEN",
    "DB_PASSWORD",
    "OAUTH_CLIENT_SECRET",
    "GOOGLE_APPLICATION_CREDENTIALS",
]


def refusal(path: Path) -> str:
    with pytest.raises(CommandError) as caught:
        read_file(path)
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value)


def test_the_limit_is_the_importers() -> None:
    assert MAX_FILE_BYTES == MAX_BYTES


def test_a_file_up_to_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"#" * MAX_FILE_BYTES)
    assert len(read_file(path)) == MAX_FILE_BYTES

    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    assert refusal(path) == f"{path} is larger than 1024 KiB, the most that a server takes: divide it"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == f"{tmp_path / 'none'} cannot be read: No such file or directory"
    (tmp_path / "binary").write_bytes(b"\xff")
    assert refusal(tmp_path / "binary") == f"{tmp_path / 'binary'} is not a text file in UTF-8"


def test_the_variables_that_a_file_names_go_with_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a: ${A}\nb: ${ B , default}\nc: ${C}\nd: x-${A}-${D,}\ne: $E\n")
    environment = {"A": "1", "B": "2", "D": "", "E": "5", "F": "6"}

    assert import_input(path, environment) == {
        "content": path.read_text(),
        "variables": {"A": "1", "B": "2", "D": ""},
    }


@pytest.mark.parametrize("name", [*SECRET_NAMES, "MODELWIRE_TOKEN", "MODELWIRE_URL"])
def test_variables_that_are_secret_by_their_names_stay(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    path.write_text(f"a: ${{{name}}}\nb: ${{MAX_TOKENS}}\n")

    assert import_input(path, {name: CANARY, "MAX_TOKENS": "5"})["variables"] == {"MAX_TOKENS": "5"}


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_what_stays_is_a_secret_to_the_server_too(name: str) -> None:
    assert is_secret_name(name)


def test_a_file_without_variables_sends_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("model_list: []\n")

    assert import_input(path, {"A": "1"}) == {"content": "model_list: []\n"}
