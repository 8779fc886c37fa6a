"""Secrets in texts of a provider, in whatever form."""

from __future__ import annotations

import base64
import html
import json
import tracemalloc
from random import Random
from string import ascii_letters
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from modelwire.resolvers.model_test_text import MASK, cut_secrets, echo_texts, secret_texts
from modelwire.store import ModelConfigDraft, Secrets

SECRET = 'canary/7f3a+9c51/e2"d8\\4b60é'


def cut(text: str, *secrets: str, max_length: int = 1000) -> str:
    return cut_secrets(text, secrets or (SECRET,), max_length=max_length)


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(json.dumps(SECRET)),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
        ascii(SECRET),
        html.escape(SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"a:{SECRET}".encode()).decode(),
        base64.b64encode(f"user:{SECRET}\n".encode()).decode(),
        f"Bearer {SECRET}",
        SECRET[:18],
        SECRET[5:20],
        SECRET[-14:],
    ],
)
def test_no_form_of_a_secret_is_left(form: str) -> None:
    shown = cut(f"the provider says: {form} is not known")
    assert MASK in shown
    assert shown.startswith("the provider says: ")
    assert shown.endswith(" is not known")
    for part in (form[at : at + 10] for at in range(len(form) - 10)):
        assert part not in shown


def test_what_is_no_secret_stays() -> None:
    text = "Incorrect API key provided. You can find yours at https://models.example/keys."
    assert cut(text) == text


def test_a_short_secret_is_cut_where_it_is_whole() -> None:
    assert cut("key EMPTY of EMPT", "EMPTY") == f"key {MASK} of EMPT"


def test_a_secret_is_cut_before_the_text_is_shortened() -> None:
    shown = cut("x" * 90 + SECRET, max_length=100)
    assert shown == "x" * 90 + MASK
    assert cut("x" * 200, max_length=100) == "x" * 99 + "…"


def test_control_characters_are_not_shown() -> None:
    assert cut("a\x1b[31mb\r\nc\x00") == "a [31mb \nc"


def test_what_of_the_secrets_of_a_config_is_looked_for() -> None:
    key_file = json.dumps({"type": "service_account", "private_key": "pem", "token_uri": "https://tokens.example"})
    secrets = Secrets(
        auth={"api_key": "key", "credentials_json": key_file},
        params={
            "extra_headers": {"Authorization": "Bearer token", "X-Number": 4711, "X-Flag": True, "X-Few": 5},
            "nested": [{"password": "pass"}, None, ""],
        },
    )
    assert secret_texts(secrets) == {"key", "pem", "token", "4711", "pass"}
    assert secret_texts(Secrets()) == frozenset()


@pytest.mark.parametrize("repeated", [str, str.lower, str.upper])
@pytest.mark.parametrize(
    "tried",
    [
        lambda guess: {"model": f"a-{guess}-b"},
        lambda guess: {"params": {"mock_response": f"it is {guess}."}},
        lambda guess: {"params": {"nested": [{f"it is {guess}.": 1}]}},
    ],
)
def test_nobody_learns_whether_a_guess_at_a_secret_is_right(tried: Any, repeated: Any) -> None:
    secrets = Secrets(auth={"api_key": "sk-canary-7f3a9c51"})
    shown = set()
    for guess in ("sk-canary-", "sk-canarx-", "7f3a9c51"[:8] + "zz"):
        draft = ModelConfigDraft(alias="a", secrets=secrets, **tried(guess))
        text = next(text for text in echo_texts(draft) if guess in text)
        shown.add(cut_secrets(f"Error: {repeated(text)}!", secret_texts(secrets) | echo_texts(draft), max_length=1000))
    assert shown == {f"Error: {MASK}!"}


def test_what_can_have_no_secret_in_it_stays_legible() -> None:
    secrets = Secrets(auth={"api_key": "sk-canary-7f3a9c51"})
    draft = ModelConfigDraft(alias="a", model="gpt-4o", params={"temperature": 0.2}, secrets=secrets)
    assert echo_texts(draft) == {"temperature", "TEMPERATURE"}
    short = ModelConfigDraft(alias="a", model="gpt-4o", secrets=Secrets(auth={"api_key": "word"}))
    assert "gpt-4o" in echo_texts(short)


def test_long_secrets_take_little_memory() -> None:
    """A test may be sent a hundred kilobytes of them: their parts in all forms would be a quarter of a gigabyte."""
    random = Random(1)
    secrets = ["".join(random.choices(ascii_letters, k=6_000)) for _ in range(10)]
    text = f"it is {secrets[4][:50]} and {secrets[7][-20:]}"
    tracemalloc.start()
    try:
        assert cut(text, *secrets) == f"it is {MASK} and {MASK}"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * sum(map(len, secrets))
