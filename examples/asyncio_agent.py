"""A component that asks its model something every second, while operators change the model in Modelwire.

    export MODELWIRE_URL=http://127.0.0.1:8400 MODELWIRE_TOKEN=mw_…
    python asyncio_agent.py general

The lines that a component of yours needs are those of `run`. With `--json` each line is one JSON object: `event` is
`answer`, `failed`, `applied`, `status` or `link`; `at` is in seconds since 1970; `version`, `revision` and `model`
are those in use at that moment, or of the call in `answer` and `failed`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from typing import Any

from modelwire.subscriber import DynamicModelProvider, LiteLlm, ModelSettings, SubscriberError


async def run(alias: str, report: Report, every_seconds: float, count: int | None) -> bool:
    """Ask again and again, `count` times or for ever. Gives whether all calls succeeded."""
    async with DynamicModelProvider(component=os.environ.get("MODELWIRE_COMPONENT", "asyncio-agent")) as provider:
        model = provider.get_lite_llm_model(alias)
        report.follow(provider, model)
        await model.wait_ready()
        succeeded = True
        while count is None or count > 0:
            settings = model.settings
            try:
                reply = await model.acompletion(messages=[{"role": "user", "content": "Which model are you?"}])
            except Exception as error:  # noqa: BLE001 - whatever goes wrong with one question, the next one is asked
                succeeded = False
                report("failed", settings, error=f"{type(error).__name__}: {error}")
            else:
                report("answer", settings, reply=reply.choices[0].message.content)
            count = None if count is None else count - 1
            if count != 0:
                await asyncio.sleep(every_seconds)
    return succeeded


class Report:
    """Prints what happens, for people or for programs."""

    def __init__(self, alias: str, *, as_json: bool) -> None:
        self.alias = alias
        self.as_json = as_json

    def follow(self, provider: DynamicModelProvider, model: LiteLlm) -> None:
        """Print each change of the link, of the model's status and of its settings."""
        provider.on_link_change(
            lambda _, new: self("link", model.settings, state=new.state.value, last_error=new.last_error)
        )
        model.on_settings_change(lambda _, new: self("applied", new))
        model.on_status_change(lambda _, new: self("status", model.settings, status=new.value))

    def __call__(self, event: str, settings: ModelSettings | None, **more: Any) -> None:
        at = time.time()
        facts = {
            "event": event,
            "alias": self.alias,
            "version": settings.version if settings else None,
            "revision": settings.revision if settings else None,
            "model": settings.model if settings else None,
            **more,
            "at": round(at, 6),
        }
        print(json.dumps(facts) if self.as_json else self.line(facts), flush=True)

    def line(self, facts: dict[str, Any]) -> str:
        name = f"{facts['model']} at version {facts['version']}" if facts["model"] else "no model"
        moment = time.strftime("%H:%M:%S", time.localtime(facts["at"]))
        match facts["event"]:
            case "answer":
                text = f"{name} answered: {facts['reply']}"
            case "failed":
                text = f"{name} did not answer: {facts['error']}"
            case "applied":
                text = f"now runs {name}"
            case "link":
                why = f" ({facts['last_error']})" if facts["state"] in ("connecting", "stale") else ""
                text = f"the link is {facts['state']}{why}"
            case _:
                text = f"is {facts['status']}"
        return f"{moment} {self.alias}: {text}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Ask a model of Modelwire something, again and again.")
    parser.add_argument("alias", help="the model's alias, for example general")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="between two questions (1)")
    parser.add_argument("--count", type=int, metavar="N", help="end after N questions; without it, never")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    arguments = parser.parse_args()
    report = Report(arguments.alias, as_json=arguments.json)
    try:
        return 0 if asyncio.run(run(arguments.alias, report, arguments.every, arguments.count)) else 1
    except SubscriberError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
