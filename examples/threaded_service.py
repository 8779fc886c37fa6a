"""A web service with a thread for each request and no event loop, whose model is configured in Modelwire.

    export MODELWIRE_URL=http://127.0.0.1:8400 MODELWIRE_TOKEN=mw_…
    python threaded_service.py general --port 8600
    curl --data "Which model are you?" http://127.0.0.1:8600/ask

`application` is plain WSGI. In Flask, or any other framework with threads, the same lines stand in a view.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from modelwire.subscriber import DynamicModelProvider, LiteLlm, ModelNotReady, SubscriberError

MAX_QUESTION_BYTES = 100_000


class Application:
    """Answers questions with the model of the moment; each answer is made with one whole configuration."""

    def __init__(self, model: LiteLlm) -> None:
        self.model = model

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        status, body = self.answer(environ)
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    def answer(self, environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        match environ["REQUEST_METHOD"], environ["PATH_INFO"]:
            case "GET", "/healthz":
                return "200 OK", {"model": self.model.status.value, "version": self.model.version}
            case "POST", "/ask":
                length = environ.get("CONTENT_LENGTH") or ""
                if not length.isdigit() or int(length) > MAX_QUESTION_BYTES:
                    return "400 Bad Request", {"error": f"the question has at most {MAX_QUESTION_BYTES} bytes"}
                return self.ask(environ["wsgi.input"].read(int(length)).decode(errors="replace"))
            case _:
                return "404 Not Found", {"error": "there is GET /healthz and POST /ask"}

    def ask(self, question: str) -> tuple[str, dict[str, Any]]:
        try:
            reply = self.model.completion(messages=[{"role": "user", "content": question}])
        except ModelNotReady as error:
            # Not the caller's fault, and over as soon as an operator configures the alias.
            return "503 Service Unavailable", {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - whatever went wrong at the endpoint, the service goes on
            return "502 Bad Gateway", {"error": type(error).__name__}
        return "200 OK", {"answer": reply.choices[0].message.content, "model": reply.model}


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
        """Print no line for each request."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Answer questions over HTTP with a model of Modelwire.")
    parser.add_argument("alias", help="the model's alias, for example general")
    parser.add_argument("--port", type=int, default=8600, help="8600; 0 takes a free one")
    arguments = parser.parse_args()
    try:
        # The link has a thread of its own until the end of the block.
        with DynamicModelProvider(component=os.environ.get("MODELWIRE_COMPONENT", "threaded-service")) as provider:
            application = Application(provider.get_lite_llm_model(arguments.alias))
            with make_server("127.0.0.1", arguments.port, application, Server, QuietHandler) as server:
                print(f"http://127.0.0.1:{server.server_port}", flush=True)
                server.serve_forever()
    except SubscriberError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
