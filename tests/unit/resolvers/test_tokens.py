"""Which tokens are a session's: those alone that were made here, for this use, by this store."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from modelwire.resolvers.access import Context
from modelwire.resolvers.errors import Unauthenticated
from modelwire.resolvers.tokens import (
    TokenUse,
    is_of_sessions,
    issue_token,
    looks_like_jwt,
    read_token,
    unverified_issuer,
)
from modelwire.store import Keyring, Session, Store, new_key

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ENDS = NOW + timedelta(seconds=900)
SESSION = Session(
    id="00112233445566778899",
    api_key_id="k3j9x2q8ab",
    generation=3,
    created_at=NOW,
    refreshed_at=NOW,
    expires_at=NOW + timedelta(days=1),
)


@pytest.fixture
def store(context: Context) -> Store:
    return context.store


def issue(store: Store, use: TokenUse = TokenUse.ACCESS, session: Session = SESSION) -> str:
    return issue_token(store, use, session, ENDS)


def read(store: Store, token: str, use: TokenUse = TokenUse.ACCESS, now: datetime = NOW) -> Any:
    return read_token(store, use, token, now)


def encode(part: Any) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def decode(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = decode(token.split(".")[1])
    return claims


def header_of(token: str) -> dict[str, Any]:
    header: dict[str, Any] = decode(token.split(".", maxsplit=1)[0])
    return header


@pytest.mark.parametrize("use", list(TokenUse))
def test_a_token_says_what_was_put_into_it(store: Store, use: TokenUse) -> None:
    claims = read(store, issue(store, use), use)
    assert (claims.session_id, claims.generation, claims.expires_at) == (SESSION.id, 3, ENDS)
    assert looks_like_jwt(issue(store, use))
    assert unverified_issuer(issue(store, use)) == f"modelwire:{store.id}"
    assert is_of_sessions(f"modelwire:{store.id}")


def test_one_use_is_not_taken_for_the_other(store: Store) -> None:
    for use, other in ((TokenUse.ACCESS, TokenUse.REFRESH), (TokenUse.REFRESH, TokenUse.ACCESS)):
        token = issue(store, use)
        with pytest.raises(Unauthenticated, match="the token is not valid"):
            read(store, token, other)
        # Neither by what it says nor by how it is signed.
        name, key = store.derive_key(use)
        renamed = jwt.encode(claims_of(token) | {"aud": other}, key, "HS256", headers={"kid": name})
        with pytest.raises(Unauthenticated, match="the token is not valid"):
            read(store, renamed, other)
        name, key = store.derive_key(other)
        signed_anew = jwt.encode(claims_of(token), key, "HS256", headers={"kid": name})
        with pytest.raises(Unauthenticated, match="the token is not valid"):
            read(store, signed_anew, other)


def test_the_expiry_counts_to_the_fraction(store: Store) -> None:
    token = issue_token(store, TokenUse.ACCESS, SESSION, NOW + timedelta(milliseconds=500))
    read(store, token, now=NOW + timedelta(milliseconds=499))
    with pytest.raises(Unauthenticated, match="the token has expired"):
        read(store, token, now=NOW + timedelta(milliseconds=500))


def _none(_store: Store, token: str) -> str:
    return f"{encode({'alg': 'none', 'typ': 'JWT'})}.{token.split('.')[1]}."


def _none_with_kid(store: Store, token: str) -> str:
    return f"{encode(header_of(token) | {'alg': 'none'})}.{token.split('.')[1]}."


def _none_in_capitals(_store: Store, token: str) -> str:
    return f"{encode(header_of(token) | {'alg': 'nOnE'})}.{token.split('.')[1]}.{token.split('.')[2]}"


def _other_algorithm(store: Store, token: str) -> str:
    name, key = store.derive_key(TokenUse.ACCESS)
    return jwt.encode(claims_of(token), key + key, "HS512", headers={"kid": name})


def _empty_key(_store: Store, token: str) -> str:
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        return jwt.encode(claims_of(token), b"x", "HS256", headers={"kid": header_of(token)["kid"]})


def _key_of_the_forger(_store: Store, token: str) -> str:
    return jwt.encode(claims_of(token), b"f" * 32, "HS256", headers={"kid": header_of(token)["kid"]})


def _kid_that_leads_to_a_file(_store: Store, token: str) -> str:
    return jwt.encode(claims_of(token), b"\0" * 32, "HS256", headers={"kid": "../../../../dev/null"})


def _kid_of_the_forger(_store: Store, token: str) -> str:
    return jwt.encode(claims_of(token), b"f" * 32, "HS256", headers={"kid": "forger"})


def _no_kid(store: Store, token: str) -> str:
    return jwt.encode(claims_of(token), store.derive_key(TokenUse.ACCESS)[1], "HS256")


def _kid_that_is_no_text(_store: Store, token: str) -> str:
    header, payload, signature = token.split(".")
    return f"{encode(decode(header) | {'kid': ['a']})}.{payload}.{signature}"


def _key_in_the_header(_store: Store, token: str) -> str:
    jwk = {"kty": "oct", "k": encode(b"f" * 32)}
    headers = {"kid": header_of(token)["kid"], "jwk": jwk, "jku": "https://evil.example", "x5u": "https://evil.example"}
    return jwt.encode(claims_of(token), b"f" * 32, "HS256", headers=headers)


def _signature_of_another_session(store: Store, token: str) -> str:
    other = issue(store, session=replace(SESSION, id="other"))
    return ".".join([*token.split(".")[:2], other.split(".")[2]])


def _other_claims(_store: Store, token: str) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{encode(claims_of(token) | {'sid': 'other'})}.{signature}"


def _truncated(_store: Store, token: str) -> str:
    return token[:-4]


def _without_signature(_store: Store, token: str) -> str:
    return token.rpartition(".")[0] + "."


def _no_json(_store: Store, token: str) -> str:
    return f"{encode(b'no json')}.{token.split('.')[1]}.{token.split('.')[2]}"


def _deep(_store: Store, token: str) -> str:
    return f"{encode(b'[' * 4000)}.{token.split('.')[1]}.{token.split('.')[2]}"


def _long(_store: Store, token: str) -> str:
    return token + "A" * 20_000


FORGERIES = [
    _none,
    _none_with_kid,
    _none_in_capitals,
    _other_algorithm,
    _empty_key,
    _key_of_the_forger,
    _kid_that_leads_to_a_file,
    _kid_of_the_forger,
    _no_kid,
    _kid_that_is_no_text,
    _key_in_the_header,
    _signature_of_another_session,
    _other_claims,
    _truncated,
    _without_signature,
    _no_json,
    _deep,
    _long,
]


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__.strip("_"))
def test_forgeries_are_refused(store: Store, forge: Any) -> None:
    token = issue(store)
    forged = forge(store, token)
    assert forged != token
    with pytest.raises(Unauthenticated) as caught:
        read(store, forged)
    assert forged not in str(caught.value)
    assert "forger" not in str(caught.value)
    # Nor does it upset whoever looks for its issuer first.
    unverified_issuer(forged)


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "sid", "gen", "exp"])
def test_a_token_that_lacks_something_is_none(store: Store, claim: str) -> None:
    token = issue(store)
    name, key = store.derive_key(TokenUse.ACCESS)
    shorter = {name: value for name, value in claims_of(token).items() if name != claim}
    with pytest.raises(Unauthenticated):
        read(store, jwt.encode(shorter, key, "HS256", headers={"kid": name}))


def test_a_token_of_before_a_restore_is_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue(store)
    monkeypatch.setattr(type(store), "id", "another")
    with pytest.raises(Unauthenticated, match="of before a restore: sign in again"):
        read(store, token)


class Keys:
    """A store with this keyring and nothing else."""

    id = "kept"

    def __init__(self, keyring: Keyring) -> None:
        self.derive_key = keyring.derive


def test_tokens_outlive_the_rotation_of_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    old: Any = Keys(Keyring.from_file(path)[0])
    other_server: Any = Keys(Keyring.from_file(path)[0])
    keyring = Keyring.from_file(path)[0]
    (retired,) = keyring.names
    before = issue(old)
    keyring.add_key()
    # A server that has not looked into the file since is told of the new key by the token.
    after = issue_token(Keys(keyring), TokenUse.ACCESS, SESSION, ENDS)  # type: ignore[arg-type]
    assert header_of(before)["kid"] != header_of(after)["kid"]
    for store in (old, other_server):
        for token in (before, after):
            assert read(store, token).session_id == SESSION.id
        assert header_of(issue(store))["kid"] == header_of(after)["kid"]
    # Once the old key is taken away, a server that is started then does not know it.
    keyring.retire_keys([retired])
    started: Any = Keys(Keyring.from_file(path)[0])
    assert read(started, after).session_id == SESSION.id
    with pytest.raises(Unauthenticated, match="a key that was taken away: sign in again"):
        read(started, before)


def test_all_servers_of_a_store_make_the_same_keys() -> None:
    text = f"one:{new_key()},two:{new_key()}"
    first, second = Keyring.parse(text), Keyring.parse(text)
    keys = {first.derive(use, name) for use in TokenUse for name in (None, "two")}
    assert keys == {second.derive(use, name) for use in TokenUse for name in (None, "two")}
    assert len({key for _, key in keys}) == 4
    assert {len(key) for _, key in keys} == {32}
    assert first.derive(TokenUse.ACCESS)[0] == "one"
    assert Keyring.parse(f"one:{new_key()}").derive(TokenUse.ACCESS) != first.derive(TokenUse.ACCESS)
