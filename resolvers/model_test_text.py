"""Texts of a provider, without the secrets that it was called with: an error can repeat what it was sent, in parts and
encoded.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

from ..store import Json, ModelConfigDraft, Secrets
from .params import is_secret_name

MASK: Final = "•••"

# So many characters in a row of a secret are cut out wherever they stand. Shorter secrets are when they are whole.
_PART: Final = 10
# A shorter one is in too much that is no secret.
_SHORTEST_NUMBER: Final = 4


def secret_texts(secrets: Secrets) -> frozenset[str]:
    """All that must not be shown of these secrets: texts and numbers at any depth, in JSON texts too."""
    found = {text for value in (*secrets.auth.values(), *secrets.params.values()) for text in _leaves(value)}
    return frozenset(text for text in found if text)


def echo_texts(draft: ModelConfigDraft) -> frozenset[str]:
    """What an answer may repeat of a config besides its secrets, as far as a secret, or a part of one, may be in it.

    It is cut out like the secrets. Otherwise whoever may test would learn whether a text of their own, given as a model
    or a parameter and repeated by anybody, has a part of a stored secret in it: by whether it is cut. Character by
    character that tells the whole secret.
    """
    shortest = min(map(len, secret_texts(draft.secrets)), default=_PART)
    texts = _texts([draft.model, draft.api_base, draft.params, draft.auth.fields])
    long = {text for text in texts if len(text) >= min(_PART, shortest)}
    return frozenset(form for text in long for form in (text, text.lower(), text.upper()))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str | int | float):
        yield str(value)


def _leaves(value: Json) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, str):
        yield from _leaves_of_text(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and len(str(value)) >= _SHORTEST_NUMBER:
        yield str(value)


def _leaves_of_text(text: str) -> Iterator[str]:
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        inner = None
    if isinstance(inner, dict):
        # A key file says much that is no secret, such as the address where tokens are fetched.
        for name, value in inner.items():
            if is_secret_name(name):
                yield from _leaves(value)
        return
    # What a header has behind `Bearer` or `Basic` is the secret.
    scheme, _, rest = text.partition(" ")
    yield rest.strip() if scheme.lower() in {"bearer", "basic"} and rest.strip() else text


def cut_secrets(text: str, secrets: Iterable[str], *, max_length: int) -> str:
    """The text without these secrets, however they are encoded, and at most so long."""
    forms: dict[int, set[str]] = {}
    for form in {form for secret in secrets for form in _forms(secret)}:
        forms.setdefault(min(_PART, len(form)), set()).add(form)
    hidden = bytearray(len(text))
    for length, all_forms in forms.items():
        # Not the parts of the secrets: there are many more of them.
        parts = list(_parts(text, length))
        told = frozenset(parts)
        cut = {part for form in all_forms for part in _parts(form, length) if part in told}
        for at, part in enumerate(parts):
            if part in cut:
                hidden[at : at + length] = b"\1" * length
    return _shown(_masked(text, hidden), max_length)


def _parts(text: str, length: int) -> Iterator[str]:
    return (text[at : at + length] for at in range(len(text) - length + 1))


def _forms(secret: str) -> Iterator[str]:
    escaped = json.dumps(secret)[1:-1]
    yield from (secret, escaped, json.dumps(escaped)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    yield from (repr(secret)[1:-1], ascii(secret)[1:-1], html.escape(secret))
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret))
    whole = secret.encode("utf-8", "surrogatepass")
    yield whole.hex()
    for shift in range(3):
        # Within a longer text that is encoded as a whole, without what its neighbours share bits with.
        plain = base64.b64encode(bytes(shift) + whole).rstrip(b"=")[4 if shift else 0 : -1].decode()
        if plain:
            yield plain
            yield plain.replace("+", "-").replace("/", "_")


def _masked(text: str, hidden: bytearray) -> str:
    kept = []
    for place, character in enumerate(text):
        if not hidden[place]:
            kept.append(character)
        elif place == 0 or not hidden[place - 1]:
            kept.append(MASK)
    return "".join(kept)


def _shown(text: str, max_length: int) -> str:
    """Without control characters, and not longer than this."""
    clean = "".join(character if character.isprintable() or character == "\n" else " " for character in text).strip()
    return clean if len(clean) <= max_length else clean[: max_length - 1] + "…"
