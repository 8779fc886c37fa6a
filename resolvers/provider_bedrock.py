"""The models of AWS Bedrock: what boto3 is asked with, and where."""

from __future__ import annotations

import re
from typing import Final

from ..store import AuthType, Json, ModelConfigDraft
from .guarded_proxy import target_of
from .outbound import Outbound
from .provider_libraries import list_by_library

_REGION: Final = re.compile(r"//(?:[^/]*\.)?bedrock(?:-runtime)?(?:-fips)?\.([a-z0-9-]+)\.")


def region_of(draft: ModelConfigDraft) -> str | None:
    """The region of a config: that of its auth, else that of its address; None when neither has one."""
    region = draft.auth.fields.get("region_name")
    if isinstance(region, str):
        return region
    found = _REGION.search(draft.api_base or "")
    return found[1] if found else None


async def list_bedrock(outbound: Outbound, draft: ModelConfigDraft, region: str) -> list[str] | None:
    """The ids of its models, None when boto3 is not installed. `draft` has credentials or an API key.

    Raises OutboundError, LimitExceeded, Unavailable.
    """
    secrets = draft.secrets.auth
    # boto3 has other names for its own arguments than LiteLLM for the same values.
    credentials: dict[str, Json] = {}
    if draft.auth.type is AuthType.AWS_IAM:
        credentials = {f"aws_{name}": value for name, value in secrets.items()}
    # Configs name the address of calls; lists are at the other half of the API.
    endpoint = None if draft.api_base is None else draft.api_base.replace("bedrock-runtime", "bedrock", 1)
    arguments: dict[str, Json] = {
        "region_name": region,
        "endpoint_url": endpoint,
        "api_key": secrets.get("api_key") if draft.auth.type is AuthType.API_KEY else None,
        "credentials": credentials,
    }
    only = None if endpoint is None else frozenset({target_of(endpoint)})
    return await list_by_library(outbound, "bedrock_models", arguments, only=only, cloud="AWS")
