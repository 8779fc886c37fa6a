"""The program that component authors copy."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from .conftest import Endpoint, Plane

PROGRAM = Path(__file__).parents[3] / "examples" / "asyncio_agent.py"


async def run(plane: Plane, *arguments: str, **more: str) -> asyncio.subprocess.Process:
    environment = {**os.environ, "MODELWIRE_URL": plane.url, "MODELWIRE_TOKEN": "token", **more}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def put(plane: Plane, endpoint: Endpoint, version: int, name: str) -> None:
    await plane.put("general", version=version, name=name, api_base=endpoint.base, num_retries=0)


async def next_event(process: asyncio.subprocess.Process, kind: str) -> dict[str, Any]:
    """Read lines until one of this kind; every line has to be a JSON object."""
    assert process.stdout
    async with asyncio.timeout(300):
        async for line in process.stdout:
            event: dict[str, Any] = json.loads(line)
            assert {"event", "alias", "version", "revision", "model", "at"} <= set(event)
            if event["event"] == kind:
                return event
    raise AssertionError(f"it ended without {kind!r}")


async def test_json_lines_tell_what_happens(plane: Plane, endpoint: Endpoint) -> None:
    await put(plane, endpoint, 1, "first")
    process = await run(plane, "general", "--json", "--every", "0.01", "--count", "100000")
    try:
        assert (await next_event(process, "applied"))["version"] == 1
        assert (await next_event(process, "status"))["status"] == "ready"
        assert (await next_event(process, "link"))["state"] == "live"
        answer = await next_event(process, "answer")
        assert (answer["version"], answer["model"], answer["reply"]) == (1, "openai/first", "I am first")
        await put(plane, endpoint, 2, "second")
        applied = await next_event(process, "applied")
        assert (applied["version"], applied["revision"]) == (2, plane.position)
        assert applied["at"] >= answer["at"]
        while (answer := await next_event(process, "answer"))["version"] == 1:
            assert answer["reply"] == "I am first"
        assert (answer["version"], answer["reply"]) == (2, "I am second")
        await plane.put("general", version=3, name="third", api_base=f"{endpoint.base}/absent", num_retries=0)
        failed = await next_event(process, "failed")
        assert (failed["version"], failed["error"].split(":")[0]) == (3, "NotFoundError")
    finally:
        process.terminate()
        await process.communicate()


async def test_for_people_it_ends_after_count(plane: Plane, endpoint: Endpoint) -> None:
    await put(plane, endpoint, 1, "first")
    process = await run(plane, "general", "--every", "0", "--count", "2")
    output, errors = await process.communicate()
    assert process.returncode == 0, errors
    assert output.decode().count("openai/first at version 1 answered: I am first") == 2


async def test_a_failed_call_is_reported_and_counts(plane: Plane, endpoint: Endpoint) -> None:
    await plane.put("general", version=1, name="m", api_base=f"{endpoint.base}/absent", num_retries=0)
    process = await run(plane, "general", "--count", "1")
    output, _ = await process.communicate()
    assert process.returncode == 1
    assert b"did not answer: NotFoundError" in output


async def test_a_missing_setting_is_named(plane: Plane) -> None:
    process = await run(plane, "general", MODELWIRE_TOKEN="")
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"MODELWIRE_TOKEN" in errors
    assert b"Traceback" not in errors
