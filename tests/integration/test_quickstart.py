"""docs/quickstart.md, done as it says: its files and its commands, against a model endpoint of the tests."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from pathlib import Path

from conftest import STOP_SECONDS, ServerProcess

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text()


def block(language: str) -> str:
    [only] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(only)


def command(beginning: str) -> list[str]:
    """The arguments of the page's command that begins so."""
    line = re.search(rf"(?m)(?:^|`)({re.escape(beginning)}[^`\n]*)", PAGE)
    assert line is not None
    return shlex.split(line[1])[1:]


async def run(*arguments: str, environment: dict[str, str], folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "modelwire", *arguments, env=environment, cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_the_page_does_what_it_says(server: ServerProcess, endpoint: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}
    # The commands find the token that the server left for its user.
    environment |= {"MODELWIRE_URL": server.url, "MODELWIRE_DATA_DIR": str(server.data_dir)}
    models = tmp_path / "models.yaml"
    models.write_text(block("yaml").replace("model: gpt-4o-mini", f"model: gpt-4o-mini\n    api_base: {endpoint}"))
    apply = command("modelwire apply models.yaml --yes")
    assert endpoint in models.read_text()
    await run(*apply, environment=environment, folder=tmp_path)
    made = await run(*command("modelwire api-key create"), environment=environment, folder=tmp_path)
    [key] = re.findall(r"mw_\w+_\w+", made)

    (tmp_path / "agent.py").write_text(block("python"))
    agent = await asyncio.create_subprocess_exec(
        sys.executable,
        "agent.py",
        env={**environment, "MODELWIRE_TOKEN": key, "OPENAI_API_KEY": "sk-test"},
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert "gpt-4o-mini" in await said(agent, "version 2: ")
        models.write_text(models.read_text().replace("model: gpt-4o-mini", "model: gpt-4o"))
        await run(*apply, environment=environment, folder=tmp_path)
        assert "gpt-4o-mini" not in await said(agent, "version 3: ")
        shown = await run(*command("modelwire history general"), environment=environment, folder=tmp_path)
        assert "gpt-4o-mini" in shown
        await run(*command("modelwire rollback general"), environment=environment, folder=tmp_path)
        assert "gpt-4o-mini" in await said(agent, "version 4: ")
    finally:
        agent.kill()
        await agent.wait()


async def said(agent: asyncio.subprocess.Process, beginning: str) -> str:
    """The next line of the agent that begins so."""
    assert agent.stdout is not None
    async with asyncio.timeout(STOP_SECONDS):
        while line := (await agent.stdout.readline()).decode():
            if line.startswith(beginning):
                return line
    raise AssertionError(f"the agent ended without {beginning!r}")
