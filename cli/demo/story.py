"""What the demo shows, in its order."""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import typer

from ..api_key_command import CREATE
from ..client import GraphQLClient
from ..import_command import IMPORT_MODEL_CONFIGS, describe_import
from .components import Answer, Component, Fleet
from .endpoint import API_KEY_VARIABLE
from .operations import Api
from .processes import Child, DemoError, Processes, free_port

START_SECONDS = 30.0
FIRST_ANSWERS_SECONDS = 90.0
CHANGE_SECONDS = 30.0

FIRST_MODEL = "first-model"
SECOND_MODEL = "second-model"
PLANNING_MODEL = "planning-model"
PORT = 8400


class Demo:
    """What the parts of the demo share."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self.processes = processes
        self.folder = folder
        self.endpoint_key = f"sk-demo-{secrets.token_hex(16)}"
        self.server_url = ""
        self.endpoint_url = ""
        self.admin_key = ""
        self.api: Api
        self.general: dict[str, Any] = {}
        self.narrator = Narrator()
        self.fleet = Fleet(
            (
                Component(name="orders-agent", alias="general"),
                Component(name="support-agent", alias="general"),
                Component(name="research-agent", alias="planning"),
            ),
            self.narrator,
        )
        self._client: GraphQLClient | None = None

    def connect(self) -> None:
        """Speak to the API as its administrator."""
        self._client = GraphQLClient(self.server_url, self.admin_key)
        self.api = Api(self._client)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


class Narrator:
    """Shows what the components do: every answer while the story is told, afterwards only what is new."""

    every_answer = True

    def answered(self, component: Component, answer: Answer, before: Answer | None) -> None:
        line = f"{component.name:<15} {component.alias:<9} answered by {answer.model} at version {answer.version}"
        if before is not None and before != answer:
            say(f"{line}, before by {before.model} at version {before.version}")
        elif before is None or self.every_answer:
            say(line)

    def applied(self, component: Component, version: int, at: float) -> None:
        say(f"{component.name:<15} {component.alias:<9} applied version {version} at {_time(at)}")

    def failed(self, component: Component, error: str) -> None:
        say(f"{component.name:<15} {component.alias:<9} a call FAILED: {error}")


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f} UTC"


def say(text: str) -> None:
    """One line of what is going on."""
    # A live counter may stand in the line.
    typer.echo(f"\r\N{ESC}[K   {text}" if sys.stdout.isatty() else f"   {text}")


def step(number: int, text: str) -> None:
    typer.secho(f"\n{number}. {text}", bold=True)


async def tell(demo: Demo) -> None:
    """Everything up to the summary. Raises DemoError as soon as something of it does not happen."""
    await _start_server(demo)
    await _start_endpoint(demo)
    await _import_file(demo)
    await _configure(demo)
    await _start_components(demo)
    before = {component.name: component.current for component in demo.fleet.components}
    await _change(demo)
    _summarise(demo, before)


async def _start_server(demo: Demo) -> None:
    port = free_port(PORT)
    step(1, "Start the API on an embedded SQLite database (`modelwire serve`)")
    if port != PORT:
        say(f"port {PORT} is in use, so the server takes {port}")
    demo.server_url = f"http://127.0.0.1:{port}"

    def read(line: str) -> None:
        if match := re.fullmatch(r"Administrator key: (mw_\S+).*", line):
            demo.admin_key = match[1]

    arguments = ["serve", "--port", str(port), "--data-dir", str(demo.folder / "data"), "--log-level", "warning"]
    server = await demo.processes.start("the server", [sys.executable, "-m", "modelwire", *arguments], {}, read)
    await _answers(f"{demo.server_url}/readyz", {}, server)
    if not demo.admin_key:
        raise DemoError(f"the server printed no administrator key:{server.last_output()}")
    demo.connect()
    say(f"{demo.server_url} answers; it made an administrator key at this first start")


async def _start_endpoint(demo: Demo) -> None:
    step(2, "Start a local OpenAI-compatible endpoint, so that completions run without any provider")
    port = free_port()
    demo.endpoint_url = f"http://127.0.0.1:{port}/v1"
    arguments = ["--port", str(port)]
    for model in (FIRST_MODEL, SECOND_MODEL, PLANNING_MODEL):
        arguments += ["--model", model]
    endpoint = await demo.processes.start(
        "the model endpoint",
        [sys.executable, "-m", "modelwire.cli.demo.endpoint", *arguments],
        {API_KEY_VARIABLE: demo.endpoint_key},
        lambda _line: None,
    )
    await _answers(f"{demo.endpoint_url}/models", {"authorization": f"Bearer {demo.endpoint_key}"}, endpoint)
    say(f"{demo.endpoint_url} answers, to those who have its API key")


async def _answers(url: str, headers: dict[str, str], child: Child) -> None:
    """Wait until a GET is answered with 200."""
    said = "nothing listens there"
    deadline = time.monotonic() + START_SECONDS
    async with httpx.AsyncClient(trust_env=False, headers=headers, timeout=2) as client:
        while time.monotonic() < deadline:
            try:
                response = await client.get(url)
            except httpx.TransportError as error:
                said = str(error) or type(error).__name__
            else:
                if response.status_code == 200:
                    return
                said = f"{response.status_code} {response.text}"
            await asyncio.sleep(0.05)
    raise DemoError(f"{child.name} did not answer at {url} within {START_SECONDS:.0f} s: {said}{child.last_output()}")


async def _import_file(demo: Demo) -> None:
    step(3, "Import examples/proxy_config.yaml, a file of LiteLLM's proxy (mutation importModelConfigs)")
    content = _example("proxy_config.yaml").read_text(encoding="utf-8")
    payload = await demo.api.mutate(IMPORT_MODEL_CONFIGS, content=content)
    for line in describe_import(payload, dry_run=False):
        say(line)
    if not any(entry["action"] == "CREATE" for entry in payload["entries"]):
        raise DemoError("the import made no model config")


def _example(name: str) -> Path:
    path = Path(str(resources.files("modelwire"))) / "examples" / name
    if not path.is_file():
        raise DemoError(f"the example {name} is not installed beside the package")
    return path


async def _configure(demo: Demo) -> None:
    step(4, "Configure the placeholders `general` and `planning` (mutation updateModelConfig)")
    for alias, model in (("general", FIRST_MODEL), ("planning", PLANNING_MODEL)):
        config = await demo.api.configure(
            alias,
            provider="openai",
            model=model,
            apiBase=demo.endpoint_url,
            auth={"apiKey": {"apiKey": demo.endpoint_key}},
        )
        say(f"{alias} is {config['litellmModel']} at version {config['version']}")


async def _start_components(demo: Demo) -> None:
    step(5, "Start three components, each with an API key that opens its alias only (examples/asyncio_agent.py)")
    for component in demo.fleet.components:
        key = await demo.api.mutate(
            CREATE,
            name=component.name,
            scopes=["model_config:read", "model_config:resolve", "component:report"],
            aliases=[component.alias],
        )
        child = await demo.processes.start(
            component.name,
            [sys.executable, str(_example("asyncio_agent.py")), component.alias, "--json"],
            {
                "MODELWIRE_URL": demo.server_url,
                "MODELWIRE_TOKEN": key["secret"],
                "MODELWIRE_COMPONENT": component.name,
            },
            _listener(demo.fleet, component),
        )
        say(f"{component.name} runs as process {child.process.pid} and asks `{component.alias}` every second")
    await demo.fleet.until(
        "two completions by each component",
        lambda: all(len(component.answers) >= 2 for component in demo.fleet.components),
        within_seconds=FIRST_ANSWERS_SECONDS,
    )


def _listener(fleet: Fleet, component: Component) -> Callable[[str], None]:
    return lambda line: fleet.hear(component, line)


def committed_at(config: dict[str, Any]) -> float:
    """When the server wrote this version, just before its commit; epoch seconds."""
    return datetime.fromisoformat(config["updatedAt"]).timestamp()


async def _change(demo: Demo) -> None:
    step(6, f"Change `general` to {SECOND_MODEL} (mutation updateModelConfig), while the components run")
    demo.general = await demo.api.configure("general", model=SECOND_MODEL)
    version = demo.general["version"]
    say(f"the server wrote version {version} at {_time(committed_at(demo.general))}")
    changed = demo.fleet.of("general")
    await demo.fleet.until(
        f"an answer by {SECOND_MODEL} in both components",
        lambda: all(component.answered_with(version, 2) for component in changed),
        within_seconds=CHANGE_SECONDS,
    )


def _summarise(demo: Demo, before: dict[str, Answer | None]) -> None:
    """Check what was seen, and print it. Raises DemoError for what is not as it should be."""
    config = demo.general
    committed = committed_at(config)
    typer.secho("\nSummary", bold=True)
    for component in demo.fleet.components:
        first, last = before[component.name], component.current
        if first is None or last is None:
            raise DemoError(f"{component.name} made no completion")
        expected = SECOND_MODEL if component.alias == "general" else PLANNING_MODEL
        if last.model != expected:
            raise DemoError(f"{component.name} is answered by {last.model}, and should be by {expected}")
        line = (
            f"{component.name:<15} {component.alias:<9} {first.model} v{first.version} -> {last.model} v{last.version}"
        )
        if component.alias == "general":
            applied = component.applied.get(config["version"])
            if applied is None:
                raise DemoError(f"{component.name} did not say that it applied version {config['version']}")
            line += f"   applied {(applied - committed) * 1000:.1f} ms after the commit"
        else:
            line += "   not concerned"
        say(line)
    demo.fleet.require_no_failure()
    say(f"{demo.fleet.calls} calls, {demo.fleet.failed} failed; no process was started again")
    say("Times: from the moment that the server wrote the change (updatedAt, just before its commit) to the moment")
    say("that the component's model was swapped, both by this machine's clock.")


async def live(demo: Demo) -> None:
    """Stay up: say where everything is, and what changes, for ever."""
    demo.narrator.every_answer = False
    typer.secho("\nIt stays up until Ctrl-C", bold=True)
    say(f"Console            {demo.server_url}/#key={demo.admin_key}")
    say(f"GraphQL            {demo.server_url}/graphql (HTTP and websocket)")
    say(f"Model endpoint     {demo.endpoint_url}")
    say(f"Administrator key  {demo.admin_key}")
    say("Change a model yourself and watch the components follow:")
    typer.echo(f"\n{_curl(demo)}\n")
    while True:
        if sys.stdout.isatty():
            typer.echo(f"\r\N{ESC}[K   {demo.fleet.calls} calls, {demo.fleet.failed} failed", nl=False)
        await asyncio.sleep(1)


def _curl(demo: Demo) -> str:
    config = demo.general
    mutation = (
        "mutation($input: UpdateModelConfigInput!) { updateModelConfig(input: $input) { __typename "
        "... on UpdateModelConfigPayload { modelConfig { alias model version } } ... on UserError { message } } }"
    )
    variables = (
        f'{{"input": {{"id": "{config["id"]}", "expectedVersion": {config["version"]}, "model": "third-model"}}}}'
    )
    return (
        f"curl {demo.server_url}/graphql -H 'Content-Type: application/json' \\\n"
        f"  -H 'Authorization: Bearer {demo.admin_key}' \\\n"
        f'  -d \'{{"query": "{mutation}", "variables": {variables}}}\''
    )
