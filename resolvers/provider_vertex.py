"""The models of Google Vertex AI: what google-auth is asked with, and where."""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import urlsplit

from ..store import Json, ModelConfigDraft
from .guarded_proxy import target_of
from .outbound import Outbound, OutboundError, OutboundProblem
from .provider_libraries import list_by_library

_LOCATION: Final = "us-central1"
"""Where LiteLLM calls without a location."""

_FIELDS: Final = ("client_email", "private_key", "token_uri")
_API_VERSIONS: Final = ("/v1", "/v1beta1")


async def list_vertex(outbound: Outbound, draft: ModelConfigDraft) -> list[str] | None:
    """The names of its models, None when google-auth is not installed. `draft` has the text of a key file.

    Raises OutboundError, LimitExceeded, Unavailable.
    """
    key_file = _key_file(draft.secrets.auth["credentials_json"])
    _check_token_uri(outbound, key_file["token_uri"])
    address = _address(draft)
    arguments: dict[str, Json] = {"key_file": key_file, "address": address}
    only = frozenset({target_of(address), target_of(key_file["token_uri"])})
    return await list_by_library(outbound, "vertex_models", arguments, only=only, cloud="Google")


def _key_file(text: str) -> dict[str, str]:
    """What signing in takes of a key file. All else would have google-auth look elsewhere."""
    content = json.loads(text)
    if content.get("type") != "service_account" or not all(isinstance(content.get(name), str) for name in _FIELDS):
        raise OutboundError(OutboundProblem.BAD_REQUEST, "the credentials are no key file of a service account")
    return {name: content[name] for name in _FIELDS}


def _check_token_uri(outbound: Outbound, token_uri: str) -> None:
    """Raise OutboundError unless it is Google's own, or of a host that the operator named.

    What google-auth signs and sends there is good at Google, for whoever has it.
    """
    try:
        parts = urlsplit(token_uri)
        host, _ = target_of(token_uri)
    except ValueError:
        raise OutboundError(OutboundProblem.BAD_REQUEST, "the token_uri of the key file is no address") from None
    of_google = parts.scheme == "https" and host.endswith((".googleapis.com", ".google.com"))
    if not of_google and (parts.scheme not in {"http", "https"} or host not in outbound.policy.allowed_hosts):
        raise OutboundError(
            OutboundProblem.BLOCKED,
            "the token_uri of the key file is not Google's: permit its host with MODELWIRE_OUTBOUND_ALLOWED_HOSTS",
        )


def _address(draft: ModelConfigDraft) -> str:
    """Where the lists are, by LiteLLM's rule of where the calls go."""
    if draft.api_base is not None:
        base = draft.api_base.rstrip("/")
        for version in _API_VERSIONS:
            base = base.removesuffix(version)
        return f"{base}/v1beta1"
    location = draft.auth.fields.get("location") or _LOCATION
    if location == "global":
        return "https://aiplatform.googleapis.com/v1beta1"
    if "-" not in str(location):
        return f"https://aiplatform.{location}.rep.googleapis.com/v1beta1"
    return f"https://{location}-aiplatform.googleapis.com/v1beta1"
