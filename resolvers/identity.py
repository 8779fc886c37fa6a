"""Which of the credentials that opened something are good no longer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from ..store import ApiKey, Session, Store
from .access import API_KEY, SESSION
from .api_keys import why_useless
from .sessions import why_ended


async def revoked(store: Store, credentials: Collection[str]) -> Mapping[str, str]:
    """Those of `credentials` (`Principal.credential`) that were taken away or have ended, with the sentence why.

    A session ends with its API key too. Never answered from memory; a few queries, however many credentials there
    are. Credentials of another kind cannot be taken away, and are not in it. Raises StoreError.
    """
    key_ids = {each.removeprefix(API_KEY) for each in credentials if each.startswith(API_KEY)}
    session_ids = {each.removeprefix(SESSION) for each in credentials if each.startswith(SESSION)}
    sessions = await store.sessions.find_many(session_ids) if session_ids else {}
    keys = await store.api_keys.find_many(key_ids | {session.api_key_id for session in sessions.values()})
    now = datetime.now(UTC)
    reasons = {API_KEY + key_id: why_useless(keys.get(key_id), now) for key_id in key_ids}
    for session_id in session_ids:
        reasons[SESSION + session_id] = _why_over(sessions.get(session_id), keys, now)
    return {credential: why for credential, why in reasons.items() if why is not None}


def _why_over(session: Session | None, keys: Mapping[str, ApiKey], now: datetime) -> str | None:
    why = why_ended(session, now)
    return why if why is not None or session is None else why_useless(keys.get(session.api_key_id), now)
