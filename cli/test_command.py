"""`modelwire test`: try a model config with one real call, made by the server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import typer

from .assignments import parse
from .client import connect, refusal
from .errors import CommandError, ExitCode
from .model_configs import find_config, model_text
from .output import Output, in_line, print_json, printable
from .progress import working

# The server gives the call up earlier, after its setting test_timeout_seconds.
_TIMEOUT_SECONDS = 900.0

TEST = """
mutation Test($input: TestModelConfigInput!) {
  testModelConfig(input: $input) {
    __typename
    ... on TestModelConfigPayload {
      success latencySeconds answer toolCalled promptTokens completionTokens error { class message }
    }
    ... on UserError { message path }
  }
}
"""

_ADVICE = {
    "AUTHENTICATION": "give it the right credentials: `modelwire set {alias} api_key=@-`",
    "BLOCKED": (
        "MODELWIRE_OUTBOUND_ALLOWED_HOSTS and MODELWIRE_OUTBOUND_PRIVATE_ADDRESSES of the server say where it may call"
    ),
    "CONNECTION": "look at its api_base: `modelwire get {alias}`",
    "MISSING_SECRET": (
        "the server does not resolve references; `modelwire watch {alias} --once` tells it where the component runs"
    ),
    "NOT_FOUND": "look at its model and api_base: `modelwire get {alias}`",
}


def try_config(alias: str, arguments: list[str], *, url: str | None, token: str | None, output: Output) -> ExitCode:
    """Try the config with what the `key=value` arguments say, and show how that went. FAILED when the model did not
    answer. Raises CommandError.
    """
    assigned = parse(arguments)
    if unused := sorted(assigned.fields.keys() & {"alias", "description"}):
        raise CommandError(f"{unused[0]} changes nothing about a call: leave it out", ExitCode.USAGE)
    with contextlib.closing(connect(url, token)) as client:
        config, _ = find_config(client, alias)
        given = {"id": config["id"], **assigned.input(config)}
        with working(f"Trying {config['alias']}"):
            result: dict[str, Any] = client.execute(TEST, {"input": given}, timeout_seconds=_TIMEOUT_SECONDS)[
                "testModelConfig"
            ]
    if result.pop("__typename") != "TestModelConfigPayload":
        raise refusal(result, "no call was made")
    if output is Output.JSON:
        print_json({"alias": config["alias"], "version": config["version"], **result})
    else:
        what = f"with other {', '.join(assigned.input(config))}" if arguments else model_text(config)
        for line in describe_test(config["alias"], what, result):
            typer.echo(line)
    return ExitCode.DONE if result["success"] else ExitCode.FAILED


def describe_test(alias: str, what: str, result: dict[str, Any]) -> Iterator[str]:
    """The lines that tell a person how a test of `what` went."""
    alias, what = printable(alias), printable(what)
    took = "" if result["latencySeconds"] is None else f" in {result['latencySeconds']:.2f} s"
    if not result["success"]:
        error = result["error"]
        yield f"{alias}: {what} FAILED{took}: {error['class'].lower()}"
        yield f"  {in_line(error['message'])}"
        if (advice := _ADVICE.get(error["class"])) is not None:
            yield f"  Next: {advice.format(alias=alias)}"
        return
    yield f"{alias}: {what} answered{took}"
    yield f"  Tool use  {'yes' if result['toolCalled'] else 'NO: it did not call the tool, which agents depend on'}"
    if result["answer"]:
        yield f"  Answer    {in_line(result['answer'])}"
    if result["promptTokens"] is not None and result["completionTokens"] is not None:
        yield f"  Tokens    {result['promptTokens']} in, {result['completionTokens']} out"
