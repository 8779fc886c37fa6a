from __future__ import annotations

import json
from pathlib import Path

import graphql
import pytest

from modelwire import schema
from modelwire.cli.errors import CommandError, ExitCode
from modelwire.cli.output import Output
from modelwire.cli.schema_command import check_schema, print_schema


def test_the_schema_is_printed_as_it_is_exported(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_schema(output=Output.TABLE) is ExitCode.DONE
    assert capsys.readouterr().out == schema.export()


def test_as_json_it_is_what_an_introspection_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_schema(output=Output.JSON) is ExitCode.DONE
    introspection = json.loads(capsys.readouterr().out)["data"]
    client_schema = graphql.lexicographic_sort_schema(graphql.build_client_schema(introspection))
    assert graphql.print_schema(client_schema) + "\n" == schema.export()
    one_of = {type_["name"] for type_ in introspection["__schema"]["types"] if type_.get("isOneOf")}
    assert one_of == {"ModelAuthInput", "ModelConfigRef"}


def test_a_check_for_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "schema.graphql"
    path.write_text(schema.export(), encoding="utf-8")
    assert check_schema(path, output=Output.JSON) is ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == {"file": str(path), "same": True}
    path.write_text("type Query { x: Int }", encoding="utf-8")
    with pytest.raises(CommandError):
        check_schema(path, output=Output.JSON)
    assert json.loads(capsys.readouterr().out) == {"file": str(path), "same": False}


def test_a_file_that_holds_the_schema_passes(tmp_path: Path) -> None:
    path = tmp_path / "schema.graphql"
    path.write_text(schema.export(), encoding="utf-8")
    assert check_schema(path, output=Output.TABLE) is ExitCode.DONE


def test_a_file_that_drifted_fails_with_the_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "schema.graphql"
    path.write_text(schema.export().replace("type Query {", "type Query {\n  gone: Int\n"), encoding="utf-8")
    with pytest.raises(CommandError, match="is not the schema of the code any more") as caught:
        check_schema(path, output=Output.TABLE)
    assert caught.value.exit_code is ExitCode.FAILED
    assert "-  gone: Int" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read") as caught:
        check_schema(tmp_path / "schema.graphql", output=Output.TABLE)
    assert caught.value.exit_code is ExitCode.USAGE
