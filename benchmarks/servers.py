"""The servers that are measured, all with one manner: they are watched by sockets, and `change` tells them all."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol

from websockets.sync.client import connect
from websockets.typing import Subprotocol

from modelwire.subscriber.events import request

from .loader import Arrivals, Load
from .processes import SERVER_CORE, MeasuredProcess

ADMIN_KEY = "mw_benchmark0_" + "0" * 64
AUTHORIZATION = f"Bearer {ADMIN_KEY}"
ALIAS = "general"

START_SECONDS = 120.0

MIN_BYTES = 250
"""What tells a snapshot or a change of a config from a bookmark or a pong: both are far from it."""

CREATE = """mutation ($alias: String!) {
  createModelConfig(input: {
    alias: $alias, provider: "openai", model: "gpt-4o-mini", apiBase: "https://models.example/v1"
    auth: {apiKey: {apiKey: "sk-benchmark-0000000000"}}, params: {temperature: 0.5, max_tokens: 1000}
  }) { __typename ... on CreateModelConfigPayload { modelConfig { id } } ... on UserError { message } }
}"""
UPDATE = """mutation ($id: ID!, $version: Int!, $params: JSON!) {
  updateModelConfig(input: {
    id: $id, expectedVersion: $version, provider: "openai", model: "gpt-4o-mini", apiBase: "https://models.example/v1"
    auth: {apiKey: {apiKey: "sk-benchmark-0000000000"}}, params: $params
  }) { __typename ... on UpdateModelConfigPayload { modelConfig { version } } ... on UserError { message } }
}"""
FIND = "query ($alias: String!) { modelConfig(by: {alias: $alias}) { id version } }"
IMPORT = """mutation ($content: String!) {
  importModelConfigs(input: {content: $content, format: LITELLM}) {
    __typename ... on ImportModelConfigsPayload { revision } ... on UserError { message }
  }
}"""


def subscribe_text(alias: str = ALIAS, operation_id: str = "1") -> str:
    """What a component sends to watch an alias."""
    return json.dumps({"type": "subscribe", "id": operation_id, "payload": request(alias, None)})


def init_text(*, component: bool = False) -> str:
    """What a client begins with; with `component`, what a component does: the socket's number is its instance."""
    payload: dict[str, Any] = {"authorization": AUTHORIZATION}
    if component:
        payload["component"] = {
            "instanceId": "%d",
            "name": "benchmark-agent",
            "kind": "component",
            "libraryVersion": "0.1.0",
            "labels": {"zone": "a"},
        }
    return json.dumps({"type": "connection_init", "payload": payload})


class Server(Protocol):
    """A server process that sends each change to all who watch."""

    name: str
    process: MeasuredProcess
    port: int
    path: str

    def change(self) -> object:
        """Commit one change, or have the ready text sent; returns with the answer."""
        ...


class GraphQLServer:
    """A server with Modelwire's schema: Modelwire itself, or Strawberry as it comes. Its database is in `folder`."""

    def __init__(self, name: str, process: MeasuredProcess, port: int, path: str) -> None:
        self.name = name
        self.process = process
        self.port = port
        self.path = path
        self.folder = process.log.parent
        self._versions: dict[str, tuple[str, int]] = {}
        self._changes = 0

    def execute(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an operation that has to go well."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        body = json.dumps({"query": query, "variables": variables})
        headers = {"content-type": "application/json", "authorization": AUTHORIZATION}
        connection.request("POST", self.path, body, headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        if "errors" in answer or '"message"' in json.dumps(answer):
            raise RuntimeError(f"{self.name} answered {answer}")
        data: dict[str, Any] = answer["data"]
        return data

    def change(self, alias: str = ALIAS) -> None:
        if alias not in self._versions:
            found = self.execute(FIND, alias=alias)["modelConfig"]
            self._versions[alias] = found["id"], found["version"]
        id_, version = self._versions[alias]
        self._changes += 1
        params = {"temperature": 0.5, "max_tokens": 1000 + self._changes % 9000}
        changed = self.execute(UPDATE, id=id_, version=version, params=params)
        self._versions[alias] = id_, changed["updateModelConfig"]["modelConfig"]["version"]

    def import_all(self, aliases: Iterable[str]) -> None:
        """Make or change configs of all these aliases, in one transaction."""
        self._changes += 1
        entries = [
            {
                "model_name": alias,
                "litellm_params": {
                    "model": "openai/gpt-4o-mini",
                    "api_base": "https://models.example/v1",
                    "api_key": "sk-benchmark-0000000000",
                    "max_tokens": 1000 + self._changes,
                },
            }
            for alias in aliases
        ]
        self.execute(IMPORT, content=json.dumps({"model_list": entries}))


class ReadyServer:
    """A server without GraphQL, which sends text that was made before."""

    def __init__(self, name: str, process: MeasuredProcess, port: int) -> None:
        self.name = name
        self.process = process
        self.port = port
        self.path = "/"

    def change(self) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("GET", "/change")
        answer = connection.getresponse().read()
        connection.close()
        return answer


def start_modelwire(
    folder: Path, *, name: str = "modelwire", database_url: str | None = None, **settings: object
) -> GraphQLServer:
    """`modelwire serve` as anybody starts it, but for limits that are made for one client of each kind."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        "MODELWIRE_ADMIN_KEY": ADMIN_KEY,
        "MODELWIRE_MAX_CONNECTIONS_PER_PRINCIPAL": "100000",
        **{f"MODELWIRE_{key.upper()}": str(value) for key, value in settings.items()},
    }
    if database_url is not None:
        environment["MODELWIRE_DATABASE_URL"] = database_url
    arguments = [sys.executable, "-m", "modelwire", "serve", "--port=0", f"--data-dir={folder}"]
    process = MeasuredProcess(arguments, core=SERVER_CORE, log=folder / "log", environment=environment)
    with process.killed_after(START_SECONDS):
        for line in process.output:
            if found := re.match(r"GraphQL: +http://[^:]+:(\d+)/graphql", line):
                return GraphQLServer(name, process, int(found[1]), "/graphql")
    raise process.failure("the server did not say where it is")


def start_stock(folder: Path) -> GraphQLServer:
    """Strawberry's own handler with the same schema and store behind it."""
    process, port = _start_peer("stock", folder, str(folder))
    return GraphQLServer("stock", process, port, "/")


def start_ready(kind: str, folder: Path, frames: tuple[Path, Path]) -> ReadyServer:
    """`ceiling` or `broadcast`, with the files of the two frames that it sends."""
    process, port = _start_peer(kind, folder, *map(str, frames))
    return ReadyServer(kind, process, port)


def start_etag(folder: Path) -> ReadyServer:
    """An application that is polled."""
    return ReadyServer("etag", *_start_peer("etag", folder, str(folder), ADMIN_KEY))


def _start_peer(kind: str, folder: Path, *arguments: str) -> tuple[MeasuredProcess, int]:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", f"benchmarks.peers.{kind}", *arguments]
    process = MeasuredProcess(command, core=SERVER_CORE, log=folder / "log")
    line = process.output.readline()
    if not line:
        raise process.failure(f"the peer {kind} did not start")
    return process, int(line)


def watch(
    load: Load,
    server: Server,
    count: int,
    *,
    alias: str = ALIAS,
    component: bool = False,
    operation_id: str = "1",
    window: int = 200,
) -> Arrivals:
    """Open so many subscribers of an alias and see their snapshots. `%d` in the alias is a subscriber's number."""
    return load.open(
        server.port,
        count,
        path=server.path,
        init=init_text(component=component),
        subscribe=subscribe_text(alias, operation_id),
        window=window,
        min_bytes=MIN_BYTES,
    )


def capture_frames(server: GraphQLServer, folder: Path) -> tuple[Path, Path]:
    """Files with the frames of a snapshot and of a change as one subscriber gets them."""
    url = f"ws://127.0.0.1:{server.port}{server.path}"
    files = folder / "snapshot.json", folder / "change.json"
    with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as socket:
        socket.send(init_text())
        socket.recv()
        socket.send(subscribe_text())
        files[0].write_text(str(socket.recv()))
        server.change()
        files[1].write_text(str(socket.recv()))
    return files
