"""Tokens of a real issuer: which are accepted, and what their claims permit."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from stand_ins.oidc_issuer import AUDIENCE, Issuer, public_jwk, rsa_key, running_issuer

from modelwire.resolvers.access import ALL_SCOPES, Scope
from modelwire.resolvers.errors import Unauthenticated
from modelwire.server.oidc import ALGORITHMS, OidcRules, OidcVerifier
from modelwire.server.oidc_keys import IssuerKeys
from modelwire.server.settings import Settings

Verify = Callable[..., Any]


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with running_issuer("/realms/agents") as issuer:
        yield issuer


@pytest.fixture
def rules(issuer: Issuer) -> OidcRules:
    settings = Settings(oidc_issuer=issuer.url, oidc_audience=AUDIENCE)
    assert settings.oidc_rules is not None
    return settings.oidc_rules


@pytest.fixture
async def verify(issuer: Issuer, rules: OidcRules) -> AsyncIterator[Verify]:
    keys = IssuerKeys(issuer.url)

    async def verified(token: str, **changed: Any) -> Any:
        return await OidcVerifier(replace(rules, **changed), keys).verify(token)

    yield verified
    await keys.close()


def encode(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


async def test_a_token_of_the_issuer_names_its_principal(issuer: Issuer, verify: Verify) -> None:
    expires = int(time.time()) + 600
    principal = await verify(issuer.token(name="Ada L.", exp=expires))
    assert (principal.subject, principal.name) == ("oidc:user-1", "Ada L.")
    assert principal.scopes == {Scope.MODEL_CONFIG_READ}
    assert principal.aliases.patterns is None
    assert principal.credential == ""
    # It is accepted for as long as the leeway says, so that is when it ends here.
    assert principal.expires_at == datetime.fromtimestamp(expires + 30, UTC)


@pytest.mark.parametrize(
    ("algorithm", "make"),
    [
        ("RS256", rsa_key),
        ("PS384", rsa_key),
        ("ES256", lambda: ec.generate_private_key(ec.SECP256R1())),
        ("ES384", lambda: ec.generate_private_key(ec.SECP384R1())),
        ("EdDSA", ed25519.Ed25519PrivateKey.generate),
    ],
)
async def test_each_algorithm_that_is_allowed(issuer: Issuer, verify: Verify, algorithm: str, make: Any) -> None:
    issuer.rotate("mine", make())
    token = issuer.token(algorithm=algorithm)
    with pytest.raises(Unauthenticated, match="an algorithm that is not allowed here"):
        await verify(token, algorithms=ALGORITHMS - {algorithm})
    assert (await verify(token, algorithms=frozenset({algorithm}))).subject == "oidc:user-1"


def _none(issuer: Issuer) -> str:
    return f"{encode({'alg': 'none', 'kid': 'first'})}.{issuer.token().split('.')[1]}."


def _confused(issuer: Issuer) -> str:
    """HS256, with the public key as the secret."""
    pem = (
        rsa_key().public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    head, body = encode({"alg": "HS256", "kid": "first"}), issuer.token().split(".")[1]
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(f"{head}.{body}".encode(), pem)
    return f"{head}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _own_key(issuer: Issuer, **headers: Any) -> str:
    forger = replace(issuer, private={"first": rsa_key(1)}, published=[])
    return forger.token(headers=headers)


def _key_in_the_header(issuer: Issuer) -> str:
    return _own_key(issuer, jwk=public_jwk(rsa_key(1)))


def _address_in_the_header(issuer: Issuer) -> str:
    return _own_key(issuer, jku="https://evil.example/jwks", x5u="https://evil.example/x5u", x5c=["AAAA"])


def _kid_that_leads_elsewhere(issuer: Issuer) -> str:
    return _own_key(issuer, kid="https://evil.example/jwks")


def _other_signature(issuer: Issuer) -> str:
    return ".".join([*issuer.token().split(".")[:2], issuer.token(sub="user-2").split(".")[2]])


def _other_claims(issuer: Issuer) -> str:
    header, _, signature = issuer.token().split(".")
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    return f"{header}.{encode(claims | {'sub': 'admin'})}.{signature}"


def _truncated(issuer: Issuer) -> str:
    return issuer.token()[:-5]


def _without_signature(issuer: Issuer) -> str:
    return issuer.token().rpartition(".")[0] + "."


FORGERIES: list[Any] = [
    _none,
    _confused,
    _own_key,
    _key_in_the_header,
    _address_in_the_header,
    _kid_that_leads_elsewhere,
    _other_signature,
    _other_claims,
    _truncated,
    _without_signature,
]


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__.strip("_"))
async def test_forgeries_are_refused(issuer: Issuer, verify: Verify, forge: Any) -> None:
    await verify(issuer.token())
    forged = forge(issuer)
    with pytest.raises(Unauthenticated) as caught:
        await verify(forged)
    assert "evil" not in str(caught.value)
    # The issuer is asked for what it said itself, and nobody else is.
    assert set(issuer.requests) == {"/.well-known/openid-configuration", "/jwks"}


async def test_not_even_an_allowed_secret_makes_the_public_key_one(issuer: Issuer, verify: Verify) -> None:
    # What no setting permits: the key itself refuses.
    with pytest.raises(Unauthenticated):
        await verify(_confused(issuer), algorithms=ALGORITHMS | {"HS256", "none"})
    with pytest.raises(Unauthenticated):
        await verify(_none(issuer), algorithms=ALGORITHMS | {"HS256", "none"})


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": "another"}, "the token is for another audience"),
        ({"aud": ["another", "third"]}, "the token is for another audience"),
        ({"aud": None}, "the token has no claim aud"),
        ({"iss": "https://evil.example"}, "the token is not valid"),
        ({"iss": None}, "the token has no claim iss"),
        ({"exp": 1_000_000_000}, "the token has expired"),
        ({"exp": "soon"}, "the token is not valid"),
        ({"exp": None}, "the token has no claim exp"),
        ({"nbf": 9_000_000_000}, "the token is not valid yet"),
        ({"iat": 9_000_000_000}, "the token is not valid yet"),
        ({"sub": None}, "the token has no claim sub"),
        ({"sub": ""}, "sub must have 1 to 255 characters"),
        ({"sub": "x" * 256}, "sub must have 1 to 255 characters"),
        ({"exp": 10**18}, "the token is not valid"),
    ],
)
async def test_claims_that_do_not_fit(issuer: Issuer, verify: Verify, claims: dict[str, Any], said: str) -> None:
    with pytest.raises(Unauthenticated, match=said):
        await verify(issuer.token(**claims))


async def test_clocks_may_differ_by_the_leeway(issuer: Issuer, verify: Verify) -> None:
    now = int(time.time())
    for claims in ({"exp": now - 60}, {"nbf": now + 60}, {"iat": now + 60}):
        token = issuer.token(**claims)
        with pytest.raises(Unauthenticated):
            await verify(token, leeway_seconds=30.0)
        assert (await verify(token, leeway_seconds=300.0)).subject == "oidc:user-1"


async def test_one_of_several_audiences_is_enough(issuer: Issuer, verify: Verify) -> None:
    assert (await verify(issuer.token(aud=["account", AUDIENCE]))).subject == "oidc:user-1"


async def test_a_short_rsa_key_is_none(issuer: Issuer, verify: Verify) -> None:
    issuer.rotate("short", rsa.generate_private_key(public_exponent=65537, key_size=1024))
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = issuer.token()
    with pytest.raises(Unauthenticated, match="the token is not valid"):
        await verify(token)


MAP = {"agents-admin": frozenset({"*"}), "/agents": frozenset({"model_config:read", "component:read"})}


@pytest.mark.parametrize(
    ("claims", "changed", "scopes"),
    [
        # Auth0 and others: the standard claim, or a list of permissions.
        ({"scope": "openid model_config:read audit:read"}, {}, {"model_config:read", "audit:read"}),
        ({"permissions": ["model_config:write"]}, {"scopes_claim": "permissions"}, {"model_config:write"}),
        ({"https://x.example/roles": ["audit:read"]}, {"scopes_claim": "https://x.example/roles"}, {"audit:read"}),
        # Keycloak: roles inside of an object, groups with a slash.
        (
            {"realm_access": {"roles": ["audit:read"]}},
            {"scopes_claim": "realm_access.roles"},
            {"audit:read"},
        ),
        (
            {"groups": ["/agents", "/others"]},
            {"scopes_claim": "groups", "scope_map": MAP},
            {"model_config:read", "component:read"},
        ),
        # Entra: app roles.
        ({"roles": ["agents-admin"]}, {"scopes_claim": "roles", "scope_map": MAP}, set(ALL_SCOPES)),
        # With a map nothing else counts, and nothing that only looks like a claim.
        ({"scope": "model_config:write *"}, {"scope_map": MAP}, set()),
        ({"scope": "*"}, {}, set()),
        ({"scope": {"model_config:write": True}}, {}, set()),
        ({"scope": ["model_config:write audit:read", 3, None]}, {}, set()),
        ({"scope": None}, {}, set()),
        ({"a": "b"}, {"scopes_claim": "a.b.c"}, set()),
    ],
)
async def test_claims_become_scopes(
    issuer: Issuer, verify: Verify, claims: dict[str, Any], changed: dict[str, Any], scopes: set[str]
) -> None:
    assert (await verify(issuer.token(**claims), **changed)).scopes == scopes


async def test_claims_become_aliases(issuer: Issuer, verify: Verify) -> None:
    async def aliases(**claims: Any) -> Any:
        return (await verify(issuer.token(**claims), aliases_claim="modelwire_aliases")).aliases.patterns

    assert await aliases(modelwire_aliases=["team-*", "general", "team-*"]) == ("team-*", "general")
    assert await aliases(modelwire_aliases="general planning") == ("general", "planning")
    # Whoever should have such a claim and has none sees nothing.
    assert await aliases() == ()
    assert await aliases(modelwire_aliases=7) == ()


@pytest.mark.parametrize(
    ("sub", "subject"),
    [
        ("auth0|5f7c8ec7", "oidc:auth0|5f7c8ec7"),
        ("spiffe://cluster/ns/agents", "oidc:spiffe://cluster/ns/agents"),
        ("a b\nc", "oidc:a%20b%0Ac"),
        ("a%20b", "oidc:a%2520b"),
        ("jürgen", "oidc:j%C3%BCrgen"),
        # What no text has is none of ours to judge: the issuer has signed it.
        ("\ud800", "oidc:%ED%A0%80"),
        (" ", "oidc:%20"),
    ],
)
async def test_a_subject_is_one_line_and_no_other_one(issuer: Issuer, verify: Verify, sub: str, subject: str) -> None:
    assert (await verify(issuer.token(sub=sub))).subject == subject


async def test_who_has_nothing_but_blanks_has_no_name(issuer: Issuer, verify: Verify) -> None:
    blank = {"name": " ", "preferred_username": "", "email": "\n", "sub": " "}
    assert (await verify(issuer.token(**blank))).name == ""


async def test_a_name_is_for_people(issuer: Issuer, verify: Verify) -> None:
    async def name(**claims: Any) -> Any:
        return (await verify(issuer.token(**claims))).name

    assert await name(preferred_username="ada", email="ada@x.example") == "ada"
    assert await name(name=" ", email="ada@x.example") == "ada@x.example"
    assert await name() == "user-1"
    assert await name(name="a\x1b[31m\nb") == "a [31m b"
    assert len(await name(name="x" * 500)) == 200


async def test_a_rotated_key_is_found(issuer: Issuer, rules: OidcRules) -> None:
    now = [1000.0]
    verifier = OidcVerifier(rules, IssuerKeys(issuer.url, now=lambda: now[0]))
    await verifier.verify(issuer.token())
    issuer.rotate("second", rsa_key(1))
    now[0] += 60
    assert (await verifier.verify(issuer.token())).subject == "oidc:user-1"
