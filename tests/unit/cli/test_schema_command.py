from __future__ import annotations

from pathlib import Path

import pytest

from modelwire import schema
from modelwire.cli.errors import CommandError, ExitCode
from modelwire.cli.schema_command import check_schema, print_schema


def test_the_schema_is_printed_as_it_is_exported(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_schema() is ExitCode.DONE
    assert capsys.readouterr().out == schema.export()


def test_a_file_that_holds_the_schema_passes(tmp_path: Path) -> None:
    path = tmp_path / "schema.graphql"
    path.write_text(schema.export(), encoding="utf-8")
    assert check_schema(path) is ExitCode.DONE


def test_a_file_that_drifted_fails_with_the_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "schema.graphql"
    path.write_text(schema.export().replace("type Query {", "type Query {\n  gone: Int\n"), encoding="utf-8")
    with pytest.raises(CommandError, match="is not the schema of the code any more") as caught:
        check_schema(path)
    assert caught.value.exit_code is ExitCode.FAILED
    assert "-  gone: Int" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read") as caught:
        check_schema(tmp_path / "schema.graphql")
    assert caught.value.exit_code is ExitCode.USAGE
