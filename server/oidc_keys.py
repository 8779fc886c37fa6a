"""The public keys of an OIDC issuer, as it publishes them: kept for a while, and asked for anew when one is not known.

Whoever brings a token of a key that is known never waits for the issuer. An issuer that is down costs those alone whose
key is not known: they are told to try again, and not that their token is wrong.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import jwt

from ..resolvers.errors import Unauthenticated, Unavailable
from ..resolvers.outbound import Outbound, OutboundError, OutboundPolicy, OutboundProblem

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 600.0
"""After this the keys are asked for again, beside the requests that go on with those that are known. So long, too, may
a key be taken that the issuer has withdrawn."""

MAX_AGE_SECONDS = 86_400.0
"""How long known keys are believed in while the issuer does not answer."""

MIN_INTERVAL_SECONDS = 5.0
"""Between two attempts to reach the issuer, whoever asks with whatever keys."""

MAX_KEYS = 100

POLICY: Final = OutboundPolicy(private_addresses=True, timeout_seconds=5.0, max_bytes=512 * 1024, max_concurrent=1)
"""Where the issuer may be: the operator named it, so it may be in a private network. Metadata addresses stay closed."""

_KEY_TYPES: Final = frozenset({"RSA", "EC", "OKP"})


class IssuerKeys:
    """The signing keys of one issuer. Use it in one event loop, and close it."""

    def __init__(
        self, issuer: str, outbound: Outbound | None = None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._outbound = outbound or Outbound(policy=POLICY)
        self._now = now
        self._keys: list[dict[str, Any]] = []
        self._made: dict[tuple[str | None, str], jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK:
        """The key with this id (None: the only one) for this algorithm.

        Raises Unauthenticated when the issuer has none, Unavailable when it cannot be asked.
        """
        age = self._age_seconds
        if age is None or age > MAX_AGE_SECONDS:
            await self._fetched()
        elif age > REFRESH_SECONDS:
            self._fetch()
        found = self._pick(kid, algorithm)
        if found is None:
            await self._fetched()
            found = self._pick(kid, algorithm)
        if found is not None:
            return found
        if self._failed:
            raise Unavailable("the issuer of the token cannot be asked for its keys at the moment: try again later")
        raise Unauthenticated("the token is signed with a key that its issuer does not publish")

    async def close(self) -> None:
        """Ask no more."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    @property
    def _age_seconds(self) -> float | None:
        return None if self._fetched_at is None else self._now() - self._fetched_at

    def _pick(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        age = self._age_seconds
        if age is None or age > MAX_AGE_SECONDS:
            return None
        if (kid, algorithm) in self._made:
            return self._made[kid, algorithm]
        fitting = [key for key in self._keys if kid is None or key.get("kid") == kid]
        if len(fitting) != 1 or fitting[0].get("alg", algorithm) != algorithm:
            return None
        try:
            made = jwt.PyJWK(fitting[0], algorithm)
        except Exception:  # noqa: BLE001 - whatever it is that they publish, it is no key for this algorithm
            return None
        self._made[kid, algorithm] = made
        return made

    async def _fetched(self) -> None:
        """Wait for an attempt that runs, or for a new one if it is time for that."""
        task = self._fetch()
        if task is not None:
            # Others wait for the same one: whoever leaves must not cancel it.
            await asyncio.shield(task)

    def _fetch(self) -> asyncio.Task[None] | None:
        """The attempt that runs, or a new one; None when the last one was only just."""
        if self._fetching is None:
            now = self._now()
            if self._tried_at is not None and now - self._tried_at < MIN_INTERVAL_SECONDS:
                return None
            self._tried_at = now
            self._fetching = asyncio.create_task(self._load(), name="oidc keys")
        return self._fetching

    async def _load(self) -> None:
        try:
            self._keys = await self._download()
            self._made = {}
            self._fetched_at = self._now()
            self._failed = False
        except OutboundError as error:
            self._failed = True
            logger.warning("the keys of the OIDC issuer %s could not be fetched: %s", self._issuer, error)
        except Exception:  # whoever waits has to be answered
            self._failed = True
            logger.exception("the keys of the OIDC issuer %s could not be fetched", self._issuer)
        finally:
            self._fetching = None

    async def _download(self) -> list[dict[str, Any]]:
        discovered = await self._outbound.get_json(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        address = discovered.get("jwks_uri") if isinstance(discovered, dict) else None
        if not isinstance(discovered, dict) or discovered.get("issuer") != self._issuer:
            raise _bad("its discovery document is that of another issuer")
        if not isinstance(address, str) or urlsplit(address).scheme not in {"https", urlsplit(self._issuer).scheme}:
            raise _bad("its discovery document has no https address of its keys")
        published = await self._outbound.get_json(address)
        keys = published.get("keys") if isinstance(published, dict) else None
        if not isinstance(keys, list):
            raise _bad("its keys are no JWK set")
        return [key for key in keys[:MAX_KEYS] if isinstance(key, dict) and _signs(key)]


def _signs(key: dict[str, Any]) -> bool:
    # A symmetric key is no secret when it is published: whoever reads it could sign.
    return key.get("kty") in _KEY_TYPES and key.get("use", "sig") == "sig"


def _bad(message: str) -> OutboundError:
    return OutboundError(OutboundProblem.BAD_ANSWER, message)
