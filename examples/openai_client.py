"""Calls with the plain `openai` package, with the endpoint, key and model that Modelwire says.

    export MODELWIRE_URL=http://127.0.0.1:8400 MODELWIRE_TOKEN=mw_…
    python openai_client.py general "Which model are you?" "And now?"

A client belongs to one version of the configuration: it is made anew when there is another.
"""

from __future__ import annotations

import asyncio
import os
import sys

import openai

from modelwire.subscriber import DynamicModelProvider, LiteLlm, SubscriberError


class Client:
    """The client for the configuration of the moment."""

    def __init__(self, model: LiteLlm) -> None:
        self.model = model
        self.client: openai.AsyncOpenAI | None = None
        self.made_with: dict[str, object] = {}

    async def ask(self, question: str) -> str:
        # Both halves are of one version: take them together, once for each call.
        params = self.model.openai_client_params()
        client = self.client
        if client is None or self.made_with != params.client:
            # The client before is not closed here: other tasks may be in the middle of a call with it.
            client = self.client = openai.AsyncOpenAI(**params.client)
            self.made_with = params.client
        reply = await client.chat.completions.create(messages=[{"role": "user", "content": question}], **params.call)
        return reply.choices[0].message.content or ""


async def run(alias: str, questions: list[str]) -> None:
    async with DynamicModelProvider(component=os.environ.get("MODELWIRE_COMPONENT", "openai-client")) as provider:
        model = provider.get_lite_llm_model(alias)
        await model.wait_ready(timeout_seconds=30)
        client = Client(model)
        for question in questions:
            print(f"version {model.version}: {await client.ask(question)}", flush=True)


def main() -> int:
    if len(sys.argv) < 3:
        print("usage: openai_client.py ALIAS QUESTION…", file=sys.stderr)
        return 2
    try:
        asyncio.run(run(sys.argv[1], sys.argv[2:]))
    except (SubscriberError, openai.OpenAIError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
