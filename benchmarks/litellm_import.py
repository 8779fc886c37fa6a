"""How other requests fare while LiteLLM is loaded for the first time.

A small query is asked, one after the other: while nothing else happens, and while the first and the second question or
call of each kind waits for LiteLLM: `supportedParams`, an import of a model without its provider, and
`testModelConfig`. Each kind has a server of its own.
"""

from __future__ import annotations

import asyncio
import time

import httpx

from .figures import Figure
from .lab import Lab
from .servers import AUTHORIZATION, GraphQLServer

QUERY = "{ modelConfigs { edges { node { alias } } } }"
FIRST = {
    "supportedParams": '{ provider(name: "openai") { supportedParams(model: "gpt-4o") } }',
    "importModelConfigs": """mutation {
      importModelConfigs(
        input: {content: "model_list: [{model_name: a, litellm_params: {model: gpt-4o}}]", dryRun: true}
      ) { ... on ImportModelConfigsPayload { entries { action } } }
    }""",
    # Nobody listens there, which is all the same to those who wait meanwhile.
    "testModelConfig": """mutation {
      testModelConfig(
        input: {
          provider: "openai", model: "m", apiBase: "http://127.0.0.1:1/v1", auth: {apiKey: {apiKey: "none"}}
        }
      ) { ... on TestModelConfigPayload { error { class } } }
    }""",
}


async def execute(client: httpx.AsyncClient, query: str) -> float:
    """How long the query took, in seconds."""
    begin = time.perf_counter()
    answer = await client.post("/graphql", json={"query": query})
    if "errors" in answer.raise_for_status().json():
        raise SystemExit(answer.text)
    return time.perf_counter() - begin


async def measure(client: httpx.AsyncClient, until: asyncio.Future[float]) -> list[float]:
    """The times of one query after the other until the other thing is done, and at least one."""
    times = []
    while not (times and until.done()):
        times.append(await execute(client, QUERY))
        await asyncio.sleep(0.01)
    return times


def run(lab: Lab) -> list[Figure]:
    figures = []
    for name in lab.choose(list(FIRST), ["supportedParams"]):
        server = lab.modelwire(outbound_private_addresses="true")
        figures.append(asyncio.run(_beside(server, name, lab.choose(5.0, 0.2))))
        lab.stop(server)
    return figures


async def _beside(server: GraphQLServer, name: str, idle_seconds: float) -> Figure:
    url, headers = f"http://127.0.0.1:{server.port}", {"authorization": AUTHORIZATION}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
        await execute(client, QUERY)
        runs = {"nothing else": await measure(client, asyncio.ensure_future(asyncio.sleep(idle_seconds, 0.0)))}
        notes = []
        for which in ("first", "second"):
            other = asyncio.ensure_future(execute(client, FIRST[name]))
            runs[which] = await measure(client, other)
            notes.append(f"the {which} {name} took {other.result():.2f} s")
    return Figure(
        name=f"another query beside {name}",
        unit="ms",
        runs={which: [seconds * 1e3 for seconds in times] for which, times in runs.items()},
        notes=notes,
    )
