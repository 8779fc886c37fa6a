"""OAuth2 client credentials for the endpoints of models: one token for all calls of the process that sign in alike."""

from __future__ import annotations

import contextlib
import logging
import ssl
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus, urlsplit
from weakref import WeakValueDictionary

from .backoff import backoff
from .errors import ConfigRefused, OAuthFailed
from .forking import remember

if TYPE_CHECKING:
    import httpx

    from .protocol import Json

logger = logging.getLogger(__name__)

PREFIX: Final = "oauth_"
_REQUIRED = ("oauth_token_url", "oauth_client_id", "oauth_client_secret")
_BUFFER_SECONDS: Final = 300.0
_MAX_RETRIES: Final = 3
_REQUEST_SECONDS: Final = 30.0
# Of a file of certificates, and of an answer.
_MAX_BYTES: Final = 1024 * 1024
_BACKOFF_FIRST_SECONDS: Final = 0.5
_BACKOFF_MAX_SECONDS: Final = 8.0
# For which a token is taken to last when its endpoint does not say.
_UNKNOWN_SECONDS: Final = 300.0
# After a renewal came to nothing, while the token still lasts.
_AGAIN_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, where and for what. `ca_cert` is a path or PEM text; without it the machine's authorities count."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    audience: str | None = None
    ca_cert: str | None = field(default=None, repr=False)

    def ssl_context(self) -> ssl.SSLContext:
        """Whom to trust. Raises OSError and ValueError when `ca_cert` is neither."""
        if self.ca_cert is None:
            return ssl.create_default_context()
        text = self.ca_cert if "-----BEGIN" in self.ca_cert else _certificates(Path(self.ca_cert))
        # Bundles name authorities in many scripts, in the lines between the certificates.
        return ssl.create_default_context(cadata=text.encode("ascii", "ignore").decode())


@dataclass(frozen=True, slots=True)
class _Issued:
    """A token and its times on the monotonic clock."""

    token: str = field(repr=False)
    since: float
    until: float

    def renew_at(self, buffer_seconds: float) -> float:
        """The buffer before its end; half of its life for one that is shorter than two buffers."""
        return self.until - min(buffer_seconds, (self.until - self.since) / 2)


class SharedToken:
    """The token of one client, renewed ahead of its expiry, with one renewal at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._issued: _Issued | None = None
        self._renewal: Future[str] | None = None
        self._not_before = 0.0
        remember(self)

    def fresh(self, buffer_seconds: float) -> str | None:
        """The token, None when it is due for renewal. No I/O."""
        issued, now = self._issued, time.monotonic()
        if issued is None or now >= issued.until:
            return None
        return issued.token if now < max(issued.renew_at(buffer_seconds), self._not_before) else None

    def get(self, buffer_seconds: float, max_retries: int) -> str:
        """Give the token, and fetch one when it is due. Raises OAuthFailed when there is none."""
        with self._lock:
            if (token := self.fresh(buffer_seconds)) is not None:
                return token
            renewal, mine = self._renewal, self._renewal is None
            if renewal is None:
                renewal = self._renewal = Future()
        if mine:
            self._renew(renewal, max_retries)
        return renewal.result()

    def _renew(self, renewal: Future[str], max_retries: int) -> None:
        try:
            issued = _fetch(self._client, max_retries)
        except BaseException as error:  # noqa: BLE001 - whoever waits is told, and raises it
            old = self._issued
            with self._lock:
                self._renewal = None
                self._not_before = time.monotonic() + _AGAIN_SECONDS
            if isinstance(error, OAuthFailed) and old is not None and time.monotonic() < old.until:
                logger.warning("%s; the token in use still lasts", error)
                renewal.set_result(old.token)
            else:
                renewal.set_exception(error)
        else:
            with self._lock:
                self._issued, self._renewal, self._not_before = issued, None, 0.0
            renewal.set_result(issued.token)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._renewal = None

    def _at_exit(self) -> None:
        """There is nothing to say goodbye to."""


# A client that no settings name any more is forgotten, and its secret and token with it.
_shared: WeakValueDictionary[Client, SharedToken] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class SignIn:
    """How the calls of one configuration get their token."""

    shared: SharedToken = field(repr=False)
    buffer_seconds: float = _BUFFER_SECONDS
    max_retries: int = _MAX_RETRIES

    def fresh(self) -> str | None:
        """The token, None when one has to be fetched. No I/O."""
        return self.shared.fresh(self.buffer_seconds)

    def get(self) -> str:
        """Give the token, and fetch one when it is due, which blocks. Raises OAuthFailed when there is none."""
        return self.shared.get(self.buffer_seconds, self.max_retries)


def sign_in(params: Mapping[str, Json]) -> SignIn | None:
    """Read LiteLLM's keyword arguments of a configuration; None when it does not sign in with OAuth2.

    References are followed already. Raises ConfigRefused.
    """
    # Not `any()`, whose generator is entered for each name: this is done for every version of every config.
    if not [name for name in params if name.startswith(PREFIX)]:
        return None
    if missing := [name for name in _REQUIRED if not params.get(name)]:
        raise ConfigRefused("missing_secret", f"it signs in with OAuth2 client credentials and lacks {missing[0]}")
    client = Client(
        token_url=_text(params, "oauth_token_url"),
        client_id=_text(params, "oauth_client_id"),
        client_secret=_text(params, "oauth_client_secret"),
        scope=_text(params, "oauth_scope") or None,
        audience=_text(params, "oauth_audience") or None,
        ca_cert=_text(params, "oauth_ca_cert") or None,
    )
    if not _is_address(client.token_url):
        raise ConfigRefused("invalid_config", "oauth_token_url is no address: it looks like https://example.com/token")
    if client.ca_cert is not None:
        try:
            client.ssl_context()
        except (OSError, ValueError):
            raise ConfigRefused(
                "invalid_config", "oauth_ca_cert is neither the path of a certificate in this component nor PEM text"
            ) from None
    return SignIn(
        _share(client),
        buffer_seconds=_count(params, "oauth_token_refresh_buffer_seconds", _BUFFER_SECONDS),
        max_retries=int(_count(params, "oauth_max_retries", _MAX_RETRIES)),
    )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # Brackets that do not close, or a port that is none.
        return False


def _certificates(path: Path) -> str:
    """The text of a file. It may be one that does not end: who writes configs names it. Raises OSError, ValueError."""
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        raise ValueError("no file of certificates")
    with path.open(encoding="ascii", errors="ignore") as file:
        return file.read(_MAX_BYTES)


def _share(client: Client) -> SharedToken:
    # Two that are made at the same moment may get a token each, which harms nobody.
    return _shared.setdefault(client, SharedToken(client))


def _text(params: Mapping[str, Json], name: str) -> str:
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise ConfigRefused("invalid_config", f"{name} is not a text")
    return value or ""


def _count(params: Mapping[str, Json], name: str, default: float) -> float:
    value = params.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
        raise ConfigRefused("invalid_config", f"{name} is not a number from 0 on")
    return float(value)


def _fetch(client: Client, max_retries: int) -> _Issued:
    """Ask the endpoint, and again while it is only out of order. Raises OAuthFailed."""
    import httpx

    delays = backoff(_BACKOFF_FIRST_SECONDS, _BACKOFF_MAX_SECONDS)
    with httpx.Client(verify=client.ssl_context(), timeout=_REQUEST_SECONDS) as http:
        for attempt in range(max_retries + 1):
            if attempt:
                time.sleep(next(delays))
            try:
                answer = _ask(http, client)
            except httpx.HTTPError as error:
                failure: OAuthFailed = OAuthFailed(f"{_place(client)} cannot be reached: {type(error).__name__}")
                failure.__cause__ = error
                continue
            if answer.status_code == 429 or answer.status_code >= 500:
                failure = OAuthFailed(f"{_place(client)} answered with HTTP {answer.status_code}", answer.status_code)
                continue
            return _read(client, answer)
    raise failure


def _ask(http: httpx.Client, client: Client) -> httpx.Response:
    """Send the secret in the body, as most take it, and in the header to those that refuse that."""
    answer = _post(http, client, in_body=True)
    return _post(http, client, in_body=False) if answer.status_code == 401 else answer


def _post(http: httpx.Client, client: Client, *, in_body: bool) -> httpx.Response:
    from oauthlib.oauth2 import BackendApplicationClient

    more: dict[str, str] = {"client_secret": client.client_secret} if in_body else {}
    if client.audience:
        more["audience"] = client.audience
    body = BackendApplicationClient(client.client_id).prepare_request_body(
        include_client_id=in_body, scope=client.scope, **more
    )
    request = http.build_request(
        "POST",
        client.token_url,
        content=body,
        headers={
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
            # A small body could else become a huge one.
            "accept-encoding": "identity",
        },
    )
    # RFC 6749, 2.3.1: both are encoded first.
    auth = None if in_body else (quote_plus(client.client_id), quote_plus(client.client_secret))
    return _whole(client, http.send(request, auth=auth, stream=True))


def _whole(client: Client, answer: httpx.Response) -> httpx.Response:
    """The answer with its body, which an endpoint may make endless. Raises OAuthFailed, httpx.HTTPError."""
    import httpx

    body, until = bytearray(), time.monotonic() + _REQUEST_SECONDS
    with contextlib.closing(answer):
        for chunk in answer.iter_raw():
            body += chunk
            if len(body) > _MAX_BYTES:
                told = f"{_place(client)} answered with more than {_MAX_BYTES // 1024} KiB"
                raise OAuthFailed(f"{told} (HTTP {answer.status_code})", answer.status_code)
            if time.monotonic() > until:
                raise httpx.ReadTimeout("the answer does not end")
    return httpx.Response(answer.status_code, content=bytes(body))


def _read(client: Client, answer: httpx.Response) -> _Issued:
    from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error

    now = time.monotonic()
    refusal = f"{_place(client)} gave no token (HTTP {answer.status_code})"
    try:
        parsed = BackendApplicationClient(client.client_id).parse_request_body_response(answer.text)
        token, seconds = parsed["access_token"], float(parsed.get("expires_in") or _UNKNOWN_SECONDS)
        if not isinstance(token, str) or not token or seconds <= 0:
            raise ValueError("no token")
    except OAuth2Error as error:
        # What an endpoint says may quote what it was sent.
        text = f"{error.error}: {error.description}".replace(client.client_secret, "…")[:300]
        raise OAuthFailed(f"{refusal}: {text}", answer.status_code) from None
    except Exception:  # noqa: BLE001 - whatever oauthlib makes of an answer that is none
        raise OAuthFailed(refusal, answer.status_code) from None
    return _Issued(token, now, now + seconds)


def _place(client: Client) -> str:
    return f"the token endpoint {urlsplit(client.token_url).hostname}"
