"""`modelwire set`, with a running server, and `--wait` with a fleet."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

from command_line import GUARD_SECONDS, Run, environment, spawn

SECRET = "sk-canary-0123456789abcdef"
FORBIDDEN = "api_key=os.environ/A_FORBIDDEN_NAME"


async def test_fields_are_set_one_by_one(command: Run, process: Run, create: Any) -> None:
    alias, _ = await create(params={"n": 1, "extra_headers": {"x": SECRET}})
    ended = await process("set", alias, "params.temperature=0.2", "params.n=", "description=for orders")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"{alias} is set, at version 2: openai/gpt-4o",
        '    description: null → "for orders"',
        "    params.temperature: null → 0.2",
        "    params.n: 1 → null",
    ]
    again = (await command("set", alias, "params.temperature=0.2", "--output", "json")).json
    assert (again["version"], again["created"], again["changed"]) == (2, False, False)
    assert (again["params"], again["sealedParams"]) == ({"temperature": 0.2}, ["extra_headers"])
    assert (await command("set", alias, "params.temperature=0.2")).out == f"{alias} is so already, at version 2.\n"
    whole = (await command("set", alias, "params={}", "params.extra_headers=", "--output", "json")).json
    assert (whole["version"], whole["params"], whole["sealedParams"]) == (3, {}, [])


async def test_a_secret_is_taken_and_never_shown(command: Run, process: Run, create: Any) -> None:
    alias, _ = await create()
    piped = await process("set", alias, "api_key=@-", stdin=f"{SECRET}-piped-9876\n")
    assert (piped.code, piped.err) == (0, "")
    assert "    auth.apiKey: (secret) changes\n" in piped.out
    config = (await command("get", alias, "--output", "json")).json
    assert config["auth"]["apiKey"]["hint"] == "9876"
    exposed = await command("set", alias, f"api_key={SECRET}", f'params.extra_headers={{"x": "{SECRET}"}}')
    assert exposed.code == 0
    assert exposed.err.startswith("Warning: api_key stood on the command line")
    assert "\nWarning: params.extra_headers holds a secret and stood on the command line" in exposed.err
    from_variable = await command("set", alias, "api_key=env:SOME_KEY", SOME_KEY=f"{SECRET}-5432")
    assert (from_variable.code, from_variable.err) == (0, "")
    moved = await command("set", alias, "provider=anthropic")
    assert "Its stored credentials were dropped" in moved.out
    for ended in (piped, exposed, from_variable, moved):
        assert "canary" not in ended.out + ended.err


async def test_a_config_is_made_when_that_is_said(command: Run) -> None:
    alias = f"made-{secrets.token_hex(4)}"
    unknown = await command("set", alias, "model=openai/gpt-4o")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err.endswith("; --create makes it\n")
    valid = await command("set", alias, "model=openai/gpt-4o", "--create", "--validate-only", "--output", "json")
    assert valid.json == {"alias": alias, "valid": True}
    assert (await command("get", alias)).code == 1
    made = await command("set", alias, "model=openai/gpt-4o", "api_key=os.environ/K", "--create", "--output", "json")
    assert (made.json["created"], made.json["provider"], made.json["version"]) == (True, "openai", 1)
    same = await command("set", alias, "model=openai/gpt-4o", "--create", "--output", "json")
    assert (same.json["created"], same.json["changed"]) == (False, False)
    renamed = (await command("set", alias, f"alias={alias}-2", "--output", "json")).json
    assert (renamed["alias"], renamed["version"]) == (f"{alias}-2", 2)


async def test_somebody_elses_change_is_not_overwritten(command: Run, create: Any) -> None:
    alias, _ = await create()
    await command("set", alias, "model=gpt-4o-mini")
    ended = await command("set", alias, "model=gpt-5", "--expected-version", "1")
    assert (ended.code, ended.out) == (3, "")
    assert f"nothing was changed: {alias} is at version 2, which api_key:" in ended.err
    assert ended.err.endswith(f"and not at 1; look at `modelwire history {alias}`, then set it again\n")
    assert (await command("get", alias, "--output", "json")).json["model"] == "gpt-4o-mini"


async def test_what_the_server_refuses_names_the_field(command: Run, create: Any) -> None:
    alias, _ = await create()
    ended = await command("set", alias, "api_base=not-an-address")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith("modelwire: nothing was changed: apiBase ")
    nothing = await command("set", alias)
    assert (nothing.code, nothing.err.partition(":")[2].partition(":")[0]) == (2, " nothing is to be set")


async def test_waiting_ends_when_the_fleet_runs_it(
    command: Run, process: Run, create: Any, fleet: Any, until_state: Any
) -> None:
    alias, _ = await create()
    nobody = await command("set", alias, "params.n=2", "--wait")
    assert (nobody.code, nobody.out.splitlines()[-1]) == (0, "No component that is connected uses it.")
    models = [await fleet(name, alias) for name in ("first", "second")]
    await until_state(alias, "APPLIED", "APPLIED")
    waited = await process("set", alias, "params.n=3", "--wait", "--timeout", "100", "--output", "json")
    assert (waited.json["version"], waited.json["waited"], waited.json["rollout"]["applied"]) == (3, "APPLIED", 2)
    assert [model.version for model in models] == [3, 3]
    shown = await command("set", alias, "params.n=4", "--wait", "--timeout", "100")
    assert (shown.code, shown.out.splitlines()[-1]) == (0, "All that are connected run version 4: 2.")
    refused = await command("set", alias, FORBIDDEN, "--wait", "--timeout", "100")
    assert refused.code == 3
    lines = refused.out.splitlines()
    assert "0 of 2 that are connected run version 5." in lines
    assert "2 refused it and go on with what they had; `modelwire rollback` makes it undone." in lines
    assert [line.split()[0] for line in lines[-2:]] == ["first", "second"]
    assert all("missing_secret: api_key refers to the variable A_FORBIDDEN_NAME" in line for line in lines[-2:])
    assert [model.version for model in models] == [4, 4]


async def test_waiting_needs_the_right_to_see_the_fleet(command: Run, create: Any, key: Any) -> None:
    alias, _ = await create()
    token = await key("model_config:read", "model_config:write")
    ended = await command("set", alias, "params.n=2", "--wait", token=token)
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == "modelwire: nothing was changed: --wait needs a key with the scope component:read\n"
    assert (await command("get", alias, "--output", "json")).json["version"] == 1


async def test_waiting_ends_in_time(shared_server: Any, command: Run, create: Any, silent_component: Any) -> None:
    """A component that hears of a version and says nothing."""
    alias, _ = await create()
    await silent_component(alias)
    ended = await command("set", alias, "params.n=2", "--wait", "--timeout", "0.5")
    assert ended.code == 3
    assert "1 have not spoken of it within 0.5 s." in ended.out
    assert [line.split()[0] for line in ended.out.splitlines()[-1:]] == ["silent"]
    variables = environment(shared_server)
    waiting = await spawn(
        "set", alias, "params.n=3", "--wait", "--timeout", "100", "--output", "json", variables=variables
    )
    async with asyncio.timeout(GUARD_SECONDS):
        while (await command("get", alias, "--output", "json")).json["version"] < 3:
            pass
        later = await command("set", alias, "params.n=4", "--output", "json")
        assert later.json["version"] == 4
        out, _ = await waiting.communicate()
    assert (waiting.returncode, json.loads(out)["waited"]) == (3, "SUPERSEDED")
