"""What `serve` leaves for the command line of the same user on the same machine: a token in a file.

The token is as old as this start of the server, which keeps nothing but its hash, in memory: when the server has ended
it opens nothing, wherever it went.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from ..resolvers.access import ALL_SCOPES, Principal
from .setting_values import is_loopback
from .settings import Settings

logger = logging.getLogger(__name__)

PREFIX = "mwl_"
LOCAL = Principal(subject="local", name="local command line", scopes=ALL_SCOPES)


class LocalToken:
    """The token of one start. `hash` is all that the processes that serve need to know."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._token = PREFIX + secrets.token_hex(32)
        self.hash = _hash(self._token)

    @property
    def file(self) -> Path:
        """Where the command line looks for it: in the data folder, by the port of the server."""
        return self._settings.data_dir / f"local-{self._settings.port}.token"

    def leave(self) -> None:
        """Write the file, for this user only, unless others than this machine can reach the server, or nobody is asked
        for a token. That it cannot be written is only warned of: there are other tokens.
        """
        if self._settings.no_auth or not is_loopback(self._settings.host):
            return
        draft = self.file.with_name(f".{self.file.name}.{secrets.token_hex(8)}")
        try:
            draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _removed(draft):
                with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(self._token)
                draft.replace(self.file)
        except OSError as error:
            logger.warning("the command line needs a token, none can be left at %s: %s", self.file, error.strerror)

    def remove(self) -> None:
        """Remove the file, unless it is another server's by now."""
        with contextlib.suppress(OSError, ValueError):
            if self.file.read_text(encoding="ascii") == self._token:
                self.file.unlink()


def is_local(authorization: str | None, expected_hash: str | None) -> bool:
    """Whether this is the header of the command line with the token of this start; None: there is none."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if expected_hash is None or scheme.lower() != "bearer" or not token.startswith(PREFIX):
        return False
    return hmac.compare_digest(_hash(token), expected_hash)


def _hash(token: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


@contextlib.contextmanager
def _removed(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
