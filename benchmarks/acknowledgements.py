"""What it costs the server that a fleet says which version it runs: one mutation of each component, after each change.

All speak at the same time, as after a change that all of them watch; a task of the server writes it in batches.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from modelwire.subscriber.acknowledgements import Acknowledgements, Verdict

from .figures import Figure
from .lab import Lab
from .servers import ALIAS, FIND, GraphQLServer, init_text


def run(lab: Lab) -> list[Figure]:
    components, rounds = lab.choose((200, 6), (5, 2))
    server: GraphQLServer = lab.start("modelwire")
    found = server.execute(FIND, alias=ALIAS)["modelConfig"]
    micros = asyncio.run(_acknowledged(server, Verdict(found["id"], found["version"]), components, rounds))
    lab.stop(server)
    # The first one makes what is made at the first use.
    return [Figure(name="an acknowledgement", unit="µs of CPU", runs={"modelwire": micros[1:]})]


async def _acknowledged(server: GraphQLServer, verdict: Verdict, components: int, rounds: int) -> list[float]:
    """What one costs, round by round."""
    micros = []
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(_component(server)) for _ in range(components)]
        for number, socket in enumerate(sockets):
            await socket.send(init_text(component=True).replace("%d", str(number)))
            await socket.recv()
        for round_ in range(rounds):
            server.process.settle()
            cpu = server.process.cpu_seconds()
            said = (_say(socket, str(number), f"{round_}", verdict) for number, socket in enumerate(sockets))
            await asyncio.gather(*said)
            micros.append((server.process.cpu_seconds() - cpu) / components * 1e6)
    return micros


def _component(server: GraphQLServer) -> connect:
    url = f"ws://127.0.0.1:{server.port}{server.path}"
    return connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None, compression=None)


async def _say(socket: ClientConnection, instance_id: str, operation_id: str, verdict: Verdict) -> None:
    payload = Acknowledgements(instance_id, lambda: iter(())).request(verdict)
    await socket.send(json.dumps({"type": "subscribe", "id": operation_id, "payload": payload}))
    while True:
        message: dict[str, Any] = json.loads(await socket.recv())
        if message["type"] == "error" or "errors" in message.get("payload", {}):
            raise RuntimeError(f"the server answered {message}")
        if message["type"] == "complete":
            return
