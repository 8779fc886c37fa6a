"""A small OIDC issuer on loopback, with real keys: discovery, JWKS, and tokens that it signs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

AUDIENCE = "modelwire"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """Made once for each number: it takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(private: PrivateKey) -> dict[str, Any]:
    """The public half, as issuers publish it."""
    public = private.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        jwk = ECAlgorithm(None).to_jwk(public, as_dict=True)
    else:
        jwk = OKPAlgorithm.to_jwk(public, as_dict=True)
    return {**jwk, "use": "sig"}


@dataclass
class Issuer:
    """A running issuer. `requests` are the paths that it was asked for; what it answers can be changed meanwhile.

    `answers` replaces an answer: a text, a status, or None for one that never comes.
    """

    port: int
    path: str = ""
    private: dict[str, PrivateKey] = field(default_factory=lambda: {"first": rsa_key()})
    published: list[dict[str, Any]] = field(default_factory=list)
    discovery: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, str | int | None] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    asked: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.publish()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def publish(self) -> None:
        """Publish the keys that there are now."""
        self.published = [{**public_jwk(key), "kid": kid} for kid, key in self.private.items()]

    def rotate(self, kid: str, key: PrivateKey) -> None:
        """Sign with another key from now on, and publish that one alone."""
        self.private = {kid: key}
        self.publish()

    def token(
        self, *, kid: str | None = None, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """A token that is good, but for the claims that are given; one of them as None is left out."""
        kid = next(iter(self.private)) if kid is None else kid
        now = time.time()
        standard = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "user-1",
            "iat": int(now),
            "exp": int(now) + 600,
            "scope": "openid model_config:read",
        }
        given = {name: value for name, value in {**standard, **claims}.items() if value is not None}
        return jwt.encode(given, self.private[kid], algorithm, headers={"kid": kid, **(headers or {})})

    async def until_asked(self, times: int) -> None:
        """Wait for so many requests in all."""
        async with asyncio.timeout(120), self.asked:
            await self.asked.wait_for(lambda: len(self.requests) >= times)

    async def answer(self, request: Request) -> Response:
        name = request.url.path.removeprefix(self.path)
        async with self.asked:
            self.requests.append(name)
            self.asked.notify_all()
        if name in self.answers:
            other = self.answers[name]
            if other is None:
                await asyncio.Event().wait()
            if isinstance(other, int):
                return Response(status_code=other)
            return Response(other, media_type="application/json")
        if name == "/jwks":
            return JSONResponse({"keys": self.published})
        return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **self.discovery})


HUGE = json.dumps({"keys": [], "padding": "x" * 1_000_000})


@contextlib.asynccontextmanager
async def running_issuer(path: str = "") -> AsyncIterator[Issuer]:
    """An issuer on a free port of loopback; its URL has this path."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        issuer = Issuer(listener.getsockname()[1], path)
        routes = [Route(path + name, issuer.answer) for name in ("/.well-known/openid-configuration", "/jwks")]
        config = uvicorn.Config(
            Starlette(routes=routes), lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=0
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        # Not `serve`, which looks every tenth of a second whether it is to end.
        await server.startup(sockets=[listener])
        try:
            yield issuer
        finally:
            await server.shutdown(sockets=[listener])
