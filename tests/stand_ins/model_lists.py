"""Local servers that list models in the providers' own wire formats, and answer with each class of error."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

KEY = "stand-in-key-4f1c9a7e"
AWS_KEY_ID = "AKIASTANDIN4F1C9A7E"
GOOGLE_ACCOUNT = "stand-in@project.iam.gserviceaccount.example"
GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"
GOOGLE_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def google_key_file(token_uri: str, key: rsa.RSAPrivateKey = GOOGLE_KEY, **more: str) -> str:
    """The text of the key file of a service account."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    content = {"type": "service_account", "project_id": "p", "private_key_id": "1", "private_key": pem}
    return json.dumps({**content, "client_email": GOOGLE_ACCOUNT, "token_uri": token_uri, **more})


@dataclass
class StandIn:
    """A running stand-in. `requests` are the paths and headers that it was asked with."""

    port: int = 0
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _error(status: int, kind: str) -> Response:
    return JSONResponse({"error": {"type": kind, "message": f"{kind}: {KEY}"}}, status_code=status)


async def _openai(request: Request) -> Response:
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return _error(401, "invalid_api_key")
    return JSONResponse(
        {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "x"} for name in ("gpt-b", "gpt-a")]}
    )


async def _anthropic(request: Request) -> Response:
    if request.headers.get("x-api-key") != KEY:
        return _error(401, "authentication_error")
    if "anthropic-version" not in request.headers:
        return _error(400, "invalid_request_error")
    pages = {None: ("claude-a", True), "claude-a": ("claude-b", False)}
    name, more = pages[request.query_params.get("after_id")]
    model = {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
    return JSONResponse({"data": [model], "has_more": more, "first_id": name, "last_id": name})


async def _gemini(request: Request) -> Response:
    if request.headers.get("x-goog-api-key") != KEY:
        # Google's own answer to a wrong key.
        return _error(400, "INVALID_ARGUMENT")

    def model(name: str, *methods: str) -> dict[str, Any]:
        return {"name": f"models/{name}", "inputTokenLimit": 1000, "supportedGenerationMethods": list(methods)}

    if request.query_params.get("pageToken") == "2":
        return JSONResponse({"models": [model("gemini-b", "generateContent")]})
    first = [model("gemini-a", "generateContent", "countTokens"), model("embedding-a", "embedContent")]
    return JSONResponse({"models": first, "nextPageToken": "2"})


async def _azure(request: Request) -> Response:
    if request.headers.get("api-key") != KEY:
        return _error(401, "401")
    if "api-version" not in request.query_params:
        return _error(404, "404")
    models = [("gpt-b", True), ("embedding", False), ("gpt-a", True)]
    data = [{"id": name, "object": "model", "capabilities": {"chat_completion": chats}} for name, chats in models]
    return JSONResponse({"object": "list", "data": data})


def _refuses_aws(request: Request) -> Response | None:
    """Signed with the key's id and never with the key itself, or with an API key."""
    authorization = request.headers.get("authorization", "")
    if authorization.startswith(f"AWS4-HMAC-SHA256 Credential={AWS_KEY_ID}/") or authorization == f"Bearer {KEY}":
        return None
    kind = {"x-amzn-errortype": "UnrecognizedClientException"}
    return JSONResponse({"message": f"The token {authorization} is invalid"}, status_code=403, headers=kind)


async def _bedrock_models(request: Request) -> Response:
    models = [("anthropic.claude-a", ["ON_DEMAND"]), ("anthropic.claude-b", ["INFERENCE_PROFILE"])]
    summaries = [
        {"modelArn": f"arn:{name}", "modelId": name, "inferenceTypesSupported": types} for name, types in models
    ]
    return _refuses_aws(request) or JSONResponse({"modelSummaries": summaries})


async def _bedrock_profiles(request: Request) -> Response:
    pages = {None: ("eu.anthropic.claude-b", "2"), "2": ("us.anthropic.claude-b", None)}
    name, following = pages[request.query_params.get("nextToken")]
    profile = {"inferenceProfileName": name, "inferenceProfileArn": f"arn:{name}", "inferenceProfileId": name}
    found = {"inferenceProfileSummaries": [{**profile, "models": [], "status": "ACTIVE", "type": "SYSTEM_DEFINED"}]}
    return _refuses_aws(request) or JSONResponse(found | ({} if following is None else {"nextToken": following}))


async def _google_token(request: Request) -> Response:
    """Takes what is signed with GOOGLE_KEY alone, in the name of GOOGLE_ACCOUNT, and for Google."""
    form = dict(parse_qsl((await request.body()).decode()))
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    try:
        claims = jwt.decode(form["assertion"], GOOGLE_KEY.public_key(), ["RS256"], audience=GOOGLE_TOKEN_URI)
    except jwt.InvalidTokenError:
        return JSONResponse({"error": "invalid_grant", "error_description": f"no: {KEY}"}, status_code=400)
    assert claims["iss"] == GOOGLE_ACCOUNT
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    return JSONResponse({"access_token": KEY, "expires_in": 3600, "token_type": "Bearer"})


async def _vertex_models(request: Request) -> Response:
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return _error(401, "UNAUTHENTICATED")
    publisher = request.path_params["publisher"]
    pages = {
        ("google", None): (["gemini-b", "gemini-embedding-001", "imagegeneration"], "2"),
        ("google", "2"): (["gemini-a"], None),
        ("anthropic", None): (["claude-a", "claude-b"], None),
    }
    names, following = pages[publisher, request.query_params.get("pageToken")]
    models = [{"name": f"publishers/{publisher}/models/{name}", "launchStage": "GA"} for name in names]
    if publisher == "anthropic":
        models[1]["versionId"] = "20260101"
    return JSONResponse({"publisherModels": models} | ({} if following is None else {"nextPageToken": following}))


async def _ollama(_request: Request) -> Response:
    return JSONResponse({"models": [{"name": "llama3:latest", "model": "llama3:latest", "size": 1}]})


async def _status(request: Request) -> Response:
    return _error(request.path_params["status"], "some_error")


async def _redirect(_request: Request) -> Response:
    return RedirectResponse("http://169.254.169.254/latest/meta-data/")


async def _text(_request: Request) -> Response:
    return Response("<html>no JSON</html>")


async def _other(_request: Request) -> Response:
    return JSONResponse({"data": "not a list"})


async def _unwritable(_request: Request) -> Response:
    return Response(b'{"data": [{"id": "half of a pair: \\ud83d"}]}')


async def _huge(_request: Request) -> Response:
    return Response(b"[" + b" " * 100_000 + b"]")


async def _compressed(_request: Request) -> Response:
    return Response(b"x", headers={"content-encoding": "gzip"})


async def _never(_request: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError


_ROUTES = {
    "/v1/models": _openai,
    "/anthropic/v1/models": _anthropic,
    "/v1beta/models": _gemini,
    "/openai/models": _azure,
    "/bedrock/foundation-models": _bedrock_models,
    "/bedrock-text/foundation-models": _text,
    "/bedrock/inference-profiles": _bedrock_profiles,
    "/vertex/v1beta1/publishers/{publisher}/models": _vertex_models,
    "/vertex-text/v1beta1/publishers/{publisher}/models": _text,
    "/vertex-redirect/v1beta1/publishers/{publisher}/models": _redirect,
    "/api/tags": _ollama,
    "/status/{status:int}/models": _status,
    "/redirect/models": _redirect,
    "/text/models": _text,
    "/other/models": _other,
    "/unwritable/models": _unwritable,
    "/huge/models": _huge,
    "/compressed/models": _compressed,
    "/never/models": _never,
}


@contextlib.asynccontextmanager
async def running_stand_in() -> AsyncIterator[StandIn]:
    """All of them on a free port of loopback."""
    stand_in = StandIn()
    routes = [Route(path, endpoint) for path, endpoint in _ROUTES.items()]
    app = Starlette(routes=[*routes, Route("/google/token", _google_token, methods=["POST"])])

    async def recorded(scope: Any, receive: Any, send: Any) -> None:
        stand_in.requests.append((scope["path"], {k.decode(): v.decode() for k, v in scope["headers"]}))
        await app(scope, receive, send)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        stand_in.port = listener.getsockname()[1]
        config = uvicorn.Config(
            recorded, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=0
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield stand_in
        server.should_exit = True
        await serving
