"""The command line at a terminal: questions, progress and completion, each as a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import Run, environment, own_variables, run_at_terminal, run_process
from live_server import live_server

from modelwire.cli.completion import SCOPES
from modelwire.resolvers.access import Scope

SECRET = "sk-canary-0123456789abcdef"


@pytest.fixture
def variables(shared_server: Any) -> dict[str, str]:
    return environment(shared_server)


async def complete(line: str, variables: dict[str, str]) -> tuple[int, list[str]]:
    """What bash would offer behind this line, which ends where the cursor is."""
    words = line.split(" ")
    asked = {"_MODELWIRE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    ended = await run_process(variables={**variables, **asked})
    assert ended.err == ""
    return ended.code, ended.out.split()


async def test_the_shell_completes_commands_and_aliases(variables: dict[str, str], create: Any) -> None:
    alias, _ = await create()
    assert {"serve", "set", "watch"} <= set((await complete("modelwire ", variables))[1])
    assert await complete("modelwire api-key rev", variables) == (0, ["revoke"])
    for line in ("get ", "set ", "watch ", "watch general ", "components --alias ", "api-key create x --alias "):
        assert await complete(f"modelwire {line}{alias[:8]}", variables) == (0, [alias])


async def test_the_shell_completes_what_a_command_takes(variables: dict[str, str]) -> None:
    assert await complete("modelwire set general oauth_tok", variables) == (
        0,
        ["oauth_token_url=", "oauth_token_refresh_buffer_seconds="],
    )
    # Two of which the one begins the other: no shell puts a blank behind what is completed.
    assert await complete("modelwire set general mod", variables) == (0, ["model=", "model=…"])
    assert await complete("modelwire api-key create x --scope component", variables) == (
        0,
        ["component:read", "component:report"],
    )


def test_the_scopes_are_those_of_the_server() -> None:
    assert set(SCOPES) == {scope.value for scope in Scope}


async def test_without_a_server_the_shell_is_offered_nothing(variables: dict[str, str]) -> None:
    for url in ("http://127.0.0.1:1", "http://["):
        assert await complete("modelwire get gen", {**variables, "MODELWIRE_URL": url}) == (0, [])


async def test_a_question_is_asked_and_its_answer_counts(variables: dict[str, str], command: Run, create: Any) -> None:
    alias, _ = await create()
    question = f"Delete {alias} (openai/gpt-4o, version 1)? [y/N]:"
    code, shown = await run_at_terminal("delete", alias, variables=variables, answers=[(question, "n")])
    assert (code, "modelwire: nothing was changed" in shown) == (1, True)
    assert (await command("get", alias)).code == 0
    code, shown = await run_at_terminal("delete", alias, variables=variables, answers=[(question, "y")])
    assert (code, f"Deleted {alias}" in shown) == (0, True)
    assert (await command("get", alias)).code == 1


async def test_a_secret_is_asked_for_and_not_shown(variables: dict[str, str], command: Run, create: Any) -> None:
    alias, _ = await create(auth=None)
    answers = [("api_key: ", SECRET)]
    code, shown = await run_at_terminal("set", alias, "api_key=@-", variables=variables, answers=answers)
    assert (code, "canary" in shown) == (0, False)
    assert "(secret, …cdef)" in (await command("get", alias)).out


async def test_long_work_is_shown_to_people_alone(variables: dict[str, str], create: Any, tmp_path: Path) -> None:
    alias, _ = await create()
    file = tmp_path / "config.yaml"
    file.write_text(f"model_list: [{{model_name: {alias}, litellm_params: {{model: openai/gpt-4o}}}}]")
    code, shown = await run_at_terminal("import", str(file), "--dry-run", variables=variables)
    assert (code, "Importing" in shown) == (0, True)
    assert f"UNCHANGED {alias}" in shown
    ended = await run_process("import", str(file), "--dry-run", variables=variables)
    assert (ended.code, ended.err) == (0, "")
    assert "Importing" not in ended.out
    config = await run_at_terminal("set", alias, "params.top_p=1", "--wait", variables=variables)
    assert (config[0], f"Version 2 of {alias}" in config[1]) == (0, True)
    assert "No component that is connected uses it." in config[1]


async def test_work_on_the_database_is_shown(tmp_path: Path) -> None:
    variables = {**own_variables(), "MODELWIRE_DATA_DIR": str(tmp_path)}
    backup = tmp_path / "backup.db"
    for arguments, told in (
        (["migrate"], "Migrating"),
        (["backup", str(backup)], "Copying to"),
        (["restore", str(backup), "--yes"], "Restoring"),
        (["audit", "verify"], "Checking the audit log"),
    ):
        code, shown = await run_at_terminal(*arguments, variables=variables)
        assert (code, told in shown) == (0, True), shown


async def test_a_server_that_asks_nobody_is_watched(tmp_path: Path) -> None:
    async with live_server(tmp_path, no_auth=True) as server:
        variables = environment(server, MODELWIRE_TOKEN="")
        watched = await run_process("watch", "general", "--once", variables=variables)
        assert (watched.code, "version 1 is a placeholder" in watched.out) == (3, True)
        assert "link     live" in watched.out
        made = await run_process("set", "general", "model=openai/gpt-4o", variables=variables)
        assert made.code == 0, made.err
        watched = await run_process("watch", "general", "--once", variables=variables)
        assert (watched.code, "version 2 would be applied" in watched.out) == (0, True)
