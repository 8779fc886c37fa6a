"""`modelwire watch` as a process, on the real link."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
from typing import Any

from command_line import GUARD_SECONDS, Run, environment, spawn
from fault_proxy import fault_proxy

SECRET = "sk-canary-0123456789abcdef"


class Watching:
    """A `modelwire watch --output json` that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.seen: list[str] = []

    async def next(self, **wanted: Any) -> dict[str, Any]:
        """The next line that says this."""
        assert self.process.stdout is not None
        async with asyncio.timeout(GUARD_SECONDS):
            while line := await self.process.stdout.readline():
                self.seen.append(line.decode())
                said: dict[str, Any] = json.loads(line)
                if wanted.items() <= said.items():
                    return said
        raise AssertionError(f"it ended without {wanted}: {self.seen}")

    async def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(GUARD_SECONDS):
            out, err = await self.process.communicate()
        self.seen += [out.decode(), err.decode()]
        assert self.process.returncode is not None
        return self.process.returncode


async def watch(server: Any, *arguments: str, **variables: str) -> Watching:
    return Watching(await spawn("watch", *arguments, "--output", "json", variables=environment(server, **variables)))


async def test_each_version_is_shown_with_what_a_component_would_do(
    shared_server: Any, command: Run, create: Any
) -> None:
    alias, id_ = await create(params={"temperature": 0.2, "extra_headers": {"x": SECRET}})
    later = f"later-{secrets.token_hex(4)}"
    watching = await watch(shared_server, alias, later, WATCH_TEST_KEY="set-here", OPENAI_API_KEY="")
    first = await watching.next(type="config", alias=alias)
    assert (first["status"], first["version"], first["id"], first["inUse"]) == ("WOULD_APPLY", 1, id_, 1)
    assert first["settings"] == {"model": "openai/gpt-4o", "temperature": 0.2}
    assert first["secrets"] == ["api_key", "extra_headers"]
    await watching.next(status="ABSENT", alias=later)
    await watching.next(type="link", state="live", error=None)
    await command("set", alias, "params.temperature=0.5", "api_key=@-", stdin=f"{SECRET}-2")
    second = await watching.next(version=2)
    assert (second["changed"], second["settings"]["temperature"]) == (["api_key", "temperature"], 0.5)
    await command("set", alias, "api_key=os.environ/OPENAI_API_KEY")
    third = await watching.next(version=3)
    assert (third["status"], third["reason"], third["inUse"]) == ("REFUSED", "missing_secret", 2)
    assert third["message"] == "api_key refers to the variable OPENAI_API_KEY, which is not set in this process"
    assert third["settings"]["api_key"] == "os.environ/OPENAI_API_KEY"
    await command("set", later, "provider=openai", "model=m", "--create")
    await watching.next(alias=later, status="WOULD_APPLY")
    # It is no component: nobody counts it, and what it would refuse is refused by nobody.
    config = (await command("get", alias, "--output", "json")).json
    assert (config["components"], config["rollout"]["refused"]) == ([], 0)
    await command("set", alias, "provider=", "model=")
    placeholder = await watching.next(version=4)
    assert (placeholder["status"], placeholder["settings"], placeholder["inUse"]) == ("PLACEHOLDER", {}, None)
    # What is watched is not in use by that.
    assert (await command("delete", alias, "--yes")).code == 0
    await watching.next(alias=alias, status="REMOVED")
    assert await watching.interrupt() == 0
    assert "canary" not in "".join(watching.seen)


async def test_the_link_is_shown_when_it_is_lost_and_back(shared_server: Any, command: Run, create: Any) -> None:
    alias, _ = await create()
    async with fault_proxy(shared_server.port) as proxy:
        watching = await watch(shared_server, alias, MODELWIRE_URL=proxy.url)
        await watching.next(type="link", state="connecting", error=None)
        await watching.next(type="link", state="live")
        proxy.down()
        lost = await watching.next(type="link", state="stale")
        assert lost["error"] == "the connection broke"
        await command("set", alias, "params.n=2")
        await proxy.up()
        assert (await watching.next(type="config"))["version"] == 2
        await watching.next(type="link", state="live", error=None)
        assert await watching.interrupt() == 0


async def test_people_see_the_same(shared_server: Any, command: Run, create: Any) -> None:
    alias, _ = await create(params={"temperature": 0.2}, auth={"apiKey": {"apiKey": "os.environ/WATCH_TEST_KEY"}})
    refused = await command("watch", alias, "--once")
    assert refused.code == 3
    assert "version 1 would be REFUSED, missing_secret: api_key refers to the variable WATCH_TEST_KEY" in refused.out
    assert "allow" in refused.out
    allowed = await command("watch", alias, "--once", "--allow-env", "WATCH_*", WATCH_TEST_KEY=SECRET)
    assert allowed.code == 0
    _, first, *settings, last = allowed.out.splitlines()
    assert first.split()[1:6] == [alias, "version", "1", "would", "be"]
    assert [line.strip() for line in settings] == [
        "api_key: os.environ/WATCH_TEST_KEY",
        "model: openai/gpt-4o",
        "temperature: 0.2",
    ]
    assert last.split()[1:] == ["link", "live"]
    assert "canary" not in allowed.out + allowed.err


async def test_once_tells_by_its_code_what_is_there(command: Run, create: Any) -> None:
    alias, _ = await create()
    assert (await command("watch", alias, "--once")).code == 0
    assert (await command("watch", alias, f"none-{secrets.token_hex(4)}", "--once")).code == 3
    everything = await command("watch", "--once", "--output", "json")
    assert alias in {json.loads(line).get("alias") for line in everything.out.splitlines()}
    away = await command("watch", alias, "--once", "--timeout", "0.5", MODELWIRE_URL="http://127.0.0.1:9")
    assert (away.code, away.err) == (1, "modelwire: nothing came from the server within 0.5 s\n")
    assert "connecting: the server cannot be reached" in away.out
    nowhere = await command("watch", "--once", MODELWIRE_URL="ftp://x")
    assert (nowhere.code, nowhere.out) == (2, "")


async def test_a_key_without_the_rights_is_told_which(command: Run, create: Any, key: Any) -> None:
    alias, _ = await create()
    reader = await command("watch", alias, "--once", token=await key("model_config:read"))
    assert reader.code == 3
    assert "model_config:resolve" in reader.out
    unknown = await command("watch", alias, "--once", token="mw_0123456789_" + "0" * 64)
    assert unknown.code == 3
    assert "the API key has to be valid" in unknown.out


async def test_it_ends_when_nobody_reads_it_any_more(shared_server: Any, create: Any) -> None:
    """As behind `| head -1`: it went on for ever, and subscribed again and again."""
    alias, _ = await create()
    watching = await watch(shared_server, alias)
    await watching.next(type="link", state="connecting")
    watching.process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
    async with asyncio.timeout(GUARD_SECONDS):
        assert await watching.process.wait() == 1
