from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwire.cli import client as client_module
from modelwire.cli.client import GraphQLClient
from modelwire.cli.errors import CommandError, ExitCode
from modelwire.cli.import_command import import_files
from modelwire.cli.output import Output

PAYLOAD = {
    "__typename": "ImportModelConfigsPayload",
    "entries": [
        {"alias": "gpt-4o", "action": "CREATE", "reason": None, "ignored": ["tpm"]},
        {"alias": "*", "action": "SKIP", "reason": "a wildcard: give it a name without *", "ignored": []},
        {"alias": "evil\x1b[2J", "action": "SKIP", "reason": "control characters", "ignored": []},
    ],
    "ignoredSections": ["general_settings"],
    "revision": "abc-3",
}
REFUSAL = {"__typename": "InvalidInput", "message": "line 3: not YAML", "path": ["input", "content"]}
Answers = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Makes the server answer one after the other with these results; gives the list of what it was sent."""
    real = httpx.Client

    def answer(*results: Any) -> list[dict[str, Any]]:
        waiting, sent = list(results), []

        def handle(request: httpx.Request) -> httpx.Response:
            sent.append(
                json.loads(request.content) | {"url": str(request.url), "key": request.headers.get("authorization")}
            )
            result = waiting.pop(0)
            if isinstance(result, Exception):
                raise result
            return result if isinstance(result, httpx.Response) else httpx.Response(200, json=result)

        monkeypatch.setattr(
            client_module.httpx, "Client", lambda **options: real(transport=httpx.MockTransport(handle), **options)
        )
        return sent

    return answer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("model_list: []\n")
    return path


def imported(payload: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"importModelConfigs": dict(payload)}}


def run(*files: Path, dry_run: bool = False, output: Output = Output.TABLE, url: str | None = None) -> ExitCode:
    return import_files(list(files), dry_run=dry_run, url=url, token="mw_test", output=output)


def test_each_entry_is_shown_with_its_reason(answers: Answers, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = answers(imported(PAYLOAD))
    assert run(file) is ExitCode.DONE
    assert sent[0]["variables"] == {"input": {"content": "model_list: []\n", "dryRun": False}}
    assert sent[0]["url"] == "http://127.0.0.1:8400/graphql"
    assert sent[0]["key"] == "Bearer mw_test"
    shown = capsys.readouterr().out
    assert "CREATE    gpt-4o" in shown
    assert "(not taken: tpm)" in shown
    assert "a wildcard: give it a name without *" in shown
    assert "Sections that Modelwire does not use: general_settings" in shown
    assert "1 new, 0 changed, 0 unchanged, 2 skipped\n" in shown
    assert "\x1b" not in shown


def test_a_dry_run_says_so(answers: Answers, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = answers(imported({**PAYLOAD, "revision": None}))
    assert run(file, dry_run=True) is ExitCode.DONE
    assert sent[0]["variables"]["input"]["dryRun"] is True
    assert "nothing was written (dry run)" in capsys.readouterr().out


def test_json_holds_what_the_server_said(answers: Answers, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers(imported(PAYLOAD), imported(REFUSAL))
    assert run(file, file, output=Output.JSON) is ExitCode.REFUSED
    taken, refused = json.loads(capsys.readouterr().out)["files"]
    assert (taken["entries"], taken["error"]) == (PAYLOAD["entries"], None)
    assert refused == {"file": str(file), "dryRun": False, "error": "line 3: not YAML"}


def test_a_refused_file_does_not_keep_the_next_from_being_taken(
    answers: Answers, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = answers(imported(REFUSAL), imported(PAYLOAD))
    assert run(file, file) is ExitCode.REFUSED
    assert len(sent) == 2
    said = capsys.readouterr()
    assert "refused, nothing of it was imported: line 3: not YAML" in said.err
    assert "CREATE    gpt-4o" in said.out


def test_an_unreadable_file_is_wrong_usage_before_anything_is_sent(
    answers: Answers, file: Path, tmp_path: Path
) -> None:
    sent = answers(imported(PAYLOAD))
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for unreadable, said in ((tmp_path / "missing", "cannot be read"), (binary, "not a text file in UTF-8")):
        with pytest.raises(CommandError, match=said) as caught:
            run(file, unreadable)
        assert caught.value.exit_code is ExitCode.USAGE
    assert sent == []


@pytest.mark.parametrize(
    ("answer", "said", "exit_code"),
    [
        (httpx.ConnectError("refused"), "no server answers at .* is `modelwire serve` running", ExitCode.FAILED),
        (httpx.Response(502, text="<html>"), "answered 502, and not as a Modelwire server does", ExitCode.FAILED),
        (httpx.Response(200, json=[]), "not as a Modelwire server does", ExitCode.FAILED),
        ({"errors": [{"message": "no", "extensions": {"code": "FORBIDDEN"}}]}, "^no$", ExitCode.REFUSED),
        ({"errors": [{"message": "who", "extensions": {"code": "UNAUTHENTICATED"}}]}, "^who$", ExitCode.REFUSED),
        ({"errors": [{"message": "later", "extensions": {"code": "UNAVAILABLE"}}]}, "^later$", ExitCode.FAILED),
        ({"errors": [{"message": "bug"}], "data": None}, "^bug$", ExitCode.FAILED),
    ],
)
def test_what_the_server_says_decides_the_exit_code(
    answers: Answers, file: Path, answer: Any, said: str, exit_code: ExitCode
) -> None:
    answers(answer)
    with pytest.raises(CommandError, match=said) as caught:
        run(file)
    assert caught.value.exit_code is exit_code


@pytest.mark.parametrize("url", ["127.0.0.1:8400", "ftp://host", "http://", "general"])
def test_an_address_that_is_none_is_wrong_usage(file: Path, url: str) -> None:
    with pytest.raises(CommandError, match="is no address of a server") as caught:
        run(file, url=url)
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_server_that_asks_for_a_token_gets_one(answers: Answers, file: Path) -> None:
    sent = answers({"errors": [{"message": "who", "extensions": {"code": "UNAUTHENTICATED"}}]})
    with pytest.raises(CommandError, match="--token, or MODELWIRE_TOKEN") as caught:
        import_files([file], dry_run=False, url="http://elsewhere", token=None, output=Output.TABLE)
    assert caught.value.exit_code is ExitCode.USAGE
    assert [request["key"] for request in sent] == [None]


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://host:1", "http://host:1/graphql"),
        ("https://host/prefix/", "https://host/prefix/graphql"),
        ("http://host/graphql", "http://host/graphql"),
    ],
)
def test_the_endpoint_lies_below_the_address(url: str, endpoint: str) -> None:
    client = GraphQLClient(url, "mw_test")
    client.close()
    assert client.url == endpoint
