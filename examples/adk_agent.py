"""An agent of Google ADK with one tool, whose model is configured in Modelwire.

    pip install "modelwire[adk]"
    export MODELWIRE_URL=http://127.0.0.1:8400 MODELWIRE_TOKEN=mw_…
    python adk_agent.py general "Which orders are late?" "And now?"

The agent keeps its conversation while operators change its model: the next turn is made with the new one.
"""

from __future__ import annotations

import asyncio
import os
import sys

from google.adk.agents import LlmAgent
from google.adk.runners import InMemoryRunner
from google.genai import types

from modelwire.subscriber import DynamicModelProvider, SubscriberError
from modelwire.subscriber.adapters.adk import ModelwireLlm

APP = "orders"
USER = "someone"


def late_orders() -> dict[str, list[str]]:
    """Tell the numbers of the orders that are late."""
    return {"orders": ["4711", "4712"]}


async def run(alias: str, questions: list[str]) -> None:
    async with DynamicModelProvider(component=os.environ.get("MODELWIRE_COMPONENT", "adk-agent")) as provider:
        model = provider.get_lite_llm_model(alias)
        agent = LlmAgent(
            name="orders",
            model=ModelwireLlm(model),
            instruction="Answer questions about orders, in one sentence.",
            tools=[late_orders],
        )
        await model.wait_ready(timeout_seconds=30)
        runner = InMemoryRunner(agent, app_name=APP)
        session = await runner.session_service.create_session(app_name=APP, user_id=USER)
        for question in questions:
            async for event in runner.run_async(
                user_id=USER, session_id=session.id, new_message=types.UserContent(question)
            ):
                if event.is_final_response() and event.content and event.content.parts:
                    answer = "".join(part.text or "" for part in event.content.parts)
                    print(f"{event.model_version}: {answer}", flush=True)


def main() -> int:
    if len(sys.argv) < 3:
        print("usage: adk_agent.py ALIAS QUESTION…", file=sys.stderr)
        return 2
    try:
        asyncio.run(run(sys.argv[1], sys.argv[2:]))
    except SubscriberError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
