"""Models whose endpoint wants a token of OAuth2 client credentials, from a token endpoint on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from modelwire.subscriber import LiteLlm, OAuthFailed, oauth

from .conftest import Endpoint

# LiteLLM and the HTTP clients in it close no connections.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

HELLO = [{"role": "user", "content": "Which model are you?"}]


class TokenEndpoint:
    """Gives token-1, token-2, …; attributes let a test change how it behaves."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.answers: list[tuple[int, Any]] = []
        """What the next requests are answered with instead, in this order."""
        self.expires_in: Any = 3600
        self.only_basic = False
        self.hold = threading.Event()
        self.hold.set()
        self.given = 0
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                status, answer = endpoint.answer(dict(parse_qsl(body)), self.headers.get("authorization"))
                text = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"

    def answer(self, form: dict[str, str], authorization: str | None) -> tuple[int, Any]:
        basic = base64.b64decode((authorization or "").removeprefix("Basic ")).decode()
        self.asked.append({**form, **({"basic": basic} if basic else {})})
        assert self.hold.wait(120)
        if self.answers:
            return self.answers.pop(0)
        if self.only_basic and not basic:
            return 401, {"error": "invalid_client"}
        self.given += 1
        answer = {"access_token": f"token-{self.given}", "token_type": "Bearer", "scope": "other", "more": 1}
        return 200, answer if self.expires_in is None else {**answer, "expires_in": self.expires_in}


@pytest.fixture
def tokens() -> Iterator[TokenEndpoint]:
    endpoint = TokenEndpoint()
    thread = threading.Thread(target=endpoint.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield endpoint
    endpoint.hold.set()
    endpoint.server.shutdown()
    endpoint.server.server_close()
    thread.join()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The path of an authority, and the context of a server on 127.0.0.1 that it vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    authority, private = folder / "authority.pem", folder / "key.pem"
    authority.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, private)
    return authority, context


class Clock:
    """Time as the tokens see it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(oauth, "time", clock)
    return clock


class Line:
    """A model that signs in, its endpoint, and the token endpoint."""

    def __init__(self, tokens: TokenEndpoint, endpoint: Endpoint | None = None) -> None:
        self.tokens = tokens
        self.endpoint = endpoint or Endpoint()

    def params(self, **more: Any) -> dict[str, Any]:
        return {
            "model": "openai/m",
            "api_base": self.endpoint.base,
            "oauth_token_url": self.tokens.url,
            "oauth_client_id": "id",
            "oauth_client_secret": "canary-secret",
            "num_retries": 0,
            **more,
        }

    def model(self, **more: Any) -> LiteLlm:
        model = LiteLlm("general")
        model.configure_model(self.params(**more))
        return model

    @property
    def keys(self) -> list[str]:
        return [asked.key for asked in self.endpoint.asked]


@pytest.fixture
def line(tokens: TokenEndpoint) -> Line:
    """Without an endpoint that could be called."""
    return Line(tokens)


@pytest.fixture
def calling(tokens: TokenEndpoint, endpoint: Endpoint) -> Line:
    return Line(tokens, endpoint)


async def test_every_kind_of_call_carries_the_token(calling: Line) -> None:
    model = calling.model(oauth_scope="a b", oauth_audience="models", extra_headers={"x-more": "1"})
    assert model.completion(HELLO).choices[0].message.content == "I am m"
    assert (await model.acompletion(HELLO)).choices[0].message.content == "I am m"
    assert model.embedding(["text"]).data[0]["embedding"] == [0.5]
    assert (await model.aembedding(["text"])).data[0]["embedding"] == [0.5]
    assert model.responses("text").output[0].content[0].text == "I am m"
    assert (await model.aresponses("text")).output[0].content[0].text == "I am m"
    chunks = [chunk async for chunk in await model.acompletion(HELLO, stream=True)]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "I am m"
    assert calling.keys == ["token-1"] * 7
    # It was fetched once, and nothing of it goes to the model's endpoint.
    assert calling.tokens.asked == [
        {
            "grant_type": "client_credentials",
            "client_id": "id",
            "client_secret": "canary-secret",
            "scope": "a b",
            "audience": "models",
        }
    ]
    assert not [name for asked in calling.endpoint.asked for name in asked.body if name.startswith("oauth")]
    params = await model.alitellm_params()
    assert params == model.litellm_params()
    assert params["api_key"] == "token-1"
    assert params["extra_headers"] == {"x-more": "1", "Authorization": "Bearer token-1"}
    assert "canary-secret" not in repr(model) + repr(model._now)
    assert "token-1" not in repr(model._now)


async def test_what_signs_in_alike_shares_a_token(calling: Line) -> None:
    first, second = calling.model(), calling.model(model="openai/other", oauth_max_retries=0)
    await first.acompletion(HELLO)
    await second.acompletion(HELLO)
    for more in ({"oauth_client_id": "id2"}, {"oauth_scope": "s"}, {"oauth_audience": "a"}):
        await calling.model(**more).acompletion(HELLO)
    assert calling.keys == ["token-1", "token-1", "token-2", "token-3", "token-4"]


async def test_a_new_secret_takes_effect_at_once(calling: Line) -> None:
    model = calling.model()
    await model.acompletion(HELLO)
    model.configure_model(calling.params(oauth_client_secret="newer"))
    await model.acompletion(HELLO)
    assert [asked["client_secret"] for asked in calling.tokens.asked] == ["canary-secret", "newer"]
    assert calling.keys == ["token-1", "token-2"]
    # And what was deleted is forgotten.
    model.unconfigure_model()
    model.configure_model(calling.params())
    await model.acompletion(HELLO)
    assert calling.keys[-1] == "token-3"


@pytest.mark.parametrize(
    ("expires_in", "more", "renewed_after"),
    [
        (3600, {}, 3300),
        ("3600", {}, 3300),
        (3600, {"oauth_token_refresh_buffer_seconds": 60}, 3540),
        (3600, {"oauth_token_refresh_buffer_seconds": 0}, 3600),
        (60, {}, 30),
        (None, {}, 150),
    ],
)
def test_a_token_is_renewed_ahead_of_its_expiry(
    line: Line, clock: Clock, expires_in: Any, more: dict[str, Any], renewed_after: float
) -> None:
    line.tokens.expires_in = expires_in
    model = line.model(**more)
    assert model.litellm_params()["api_key"] == "token-1"
    clock.now += renewed_after - 0.5
    assert model.litellm_params()["api_key"] == "token-1"
    clock.now += 1
    assert model.litellm_params()["api_key"] == "token-2"


async def test_one_renewal_is_in_flight(line: Line) -> None:
    """From threads and tasks, of several models."""
    models = [line.model() for _ in range(4)]
    line.tokens.hold.clear()
    with ThreadPoolExecutor(8) as threads:
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(threads, model.litellm_params) for model in models * 2]
        tasks = [asyncio.create_task(model.alitellm_params()) for model in models]
        while not line.tokens.asked:  # noqa: ASYNC110 - a thread has no event for its tests
            await asyncio.sleep(0.01)
        line.tokens.hold.set()
        results = await asyncio.gather(*calls, *tasks)
    assert {result["api_key"] for result in results} == {"token-1"}
    assert len(line.tokens.asked) == 1


async def test_a_failure_is_told_to_all_who_wait_for_it(line: Line) -> None:
    model = line.model(oauth_max_retries=0)
    line.tokens.hold.clear()
    line.tokens.answers = [(503, "away")]
    with ThreadPoolExecutor(8) as threads:
        loop = asyncio.get_running_loop()
        first = loop.run_in_executor(threads, model.litellm_params)
        while not line.tokens.asked:  # noqa: ASYNC110 - a thread has no event for its tests
            await asyncio.sleep(0.01)
        shared = model._now.sign_in.shared  # type: ignore[union-attr]
        others = [loop.run_in_executor(threads, shared._renewal.result) for _ in range(3)]
        line.tokens.hold.set()
        failures = await asyncio.gather(first, *others, return_exceptions=True)
    assert len(failures) == 4
    assert all(isinstance(failure, OAuthFailed) for failure in failures)
    assert model.litellm_params()["api_key"] == "token-1"


async def test_what_is_out_of_order_is_asked_again(line: Line, clock: Clock) -> None:
    line.tokens.answers = [(500, ""), (429, ""), (503, "")]
    assert (await line.model().alitellm_params())["api_key"] == "token-1"
    assert len(line.tokens.asked) == 4
    assert len(clock.slept) == 3
    assert all(seconds <= bound for seconds, bound in zip(clock.slept, (0.5, 1, 2), strict=True))


async def test_it_is_asked_no_more_than_so_often(calling: Line) -> None:
    calling.tokens.answers = [(500, "")] * 9
    with pytest.raises(OAuthFailed, match="HTTP 500") as caught:
        await calling.model(oauth_max_retries=2).acompletion(HELLO)
    assert caught.value.status_code == 500
    assert len(calling.tokens.asked) == 3
    assert not calling.endpoint.asked


@pytest.mark.parametrize(
    ("status", "answer", "text"),
    [
        (400, {"error": "invalid_scope", "error_description": "no canary-secret"}, "invalid_scope: no …"),
        (403, {"error": "access_denied"}, "access_denied"),
        (200, {"token_type": "Bearer"}, "HTTP 200"),
        (200, "<html>", "HTTP 200"),
        (200, [], "HTTP 200"),
        (200, {"access_token": 3}, "HTTP 200"),
        (200, {"access_token": ""}, "HTTP 200"),
        (200, {"access_token": "t", "expires_in": "soon"}, "HTTP 200"),
        (200, {"access_token": "t", "expires_in": -1}, "HTTP 200"),
        (302, "", "HTTP 302"),
        (200, {"access_token": "t" * 2**20}, "answered with more than 1024 KiB"),
    ],
)
def test_a_refusal_is_final_and_tells_no_secret(line: Line, status: int, answer: Any, text: str) -> None:
    line.tokens.answers = [(status, answer)]
    model = line.model()
    with pytest.raises(OAuthFailed) as caught:
        model.litellm_params()
    assert text in str(caught.value)
    assert "canary-secret" not in str(caught.value)
    assert caught.value.status_code == status
    assert len(line.tokens.asked) == 1
    # Nothing is remembered of it.
    assert model.litellm_params()["api_key"] == "token-1"


def test_an_endpoint_that_takes_the_secret_in_the_header_only(line: Line) -> None:
    line.tokens.only_basic = True
    model = line.model(oauth_client_id="i:d", oauth_client_secret="s p%")
    assert model.litellm_params()["api_key"] == "token-1"
    assert line.tokens.asked[-1] == {"grant_type": "client_credentials", "basic": "i%3Ad:s+p%25"}


def test_while_a_token_lasts_its_endpoint_may_be_away(
    line: Line, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    model = line.model(oauth_max_retries=0)
    model.litellm_params()
    line.tokens.answers = [(500, "")] * 9
    clock.now += 3400
    for _ in range(3):
        assert model.litellm_params()["api_key"] == "token-1"
    # Not every call asks again.
    assert len(line.tokens.asked) == 2
    assert "still lasts" in caplog.text
    clock.now += 11
    assert model.litellm_params()["api_key"] == "token-1"
    assert len(line.tokens.asked) == 3
    clock.now += 300
    with pytest.raises(OAuthFailed):
        model.litellm_params()
    line.tokens.answers = []
    assert model.litellm_params()["api_key"] == "token-2"


def test_an_endpoint_that_cannot_be_reached(line: Line, clock: Clock) -> None:
    model = line.model(oauth_token_url="http://127.0.0.1:1/token")
    with pytest.raises(OAuthFailed, match=r"127\.0\.0\.1 cannot be reached") as caught:
        model.litellm_params()
    assert caught.value.status_code is None
    assert len(clock.slept) == 3


@pytest.mark.parametrize("form", ["path", "text"])
def test_the_authority_of_the_token_endpoint(line: Line, tmp_path: Path, form: str) -> None:
    """An endpoint of a private authority is trusted when the configuration says so, and not otherwise."""
    authority, context = certificate(tmp_path)
    line.tokens.server.socket = context.wrap_socket(line.tokens.server.socket, server_side=True)
    url = line.tokens.url.replace("http:", "https:")
    with pytest.raises(OAuthFailed, match="cannot be reached"):
        line.model(oauth_token_url=url, oauth_max_retries=0).litellm_params()
    ca_cert = str(authority) if form == "path" else authority.read_text()
    assert line.model(oauth_token_url=url, oauth_ca_cert=ca_cert).litellm_params()["api_key"] == "token-1"
