"""The models of AWS Bedrock, asked for with boto3 in a process of its own: see `litellm_call.py`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from .litellm_call_problems import problem_of_status


async def bedrock_models(request: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of the models and inference profiles that can be called, or the class of what went wrong."""
    try:
        boto3: Any = import_module("boto3")
        exceptions: Any = import_module("botocore.exceptions")
        parsers: Any = import_module("botocore.parsers")
        config: Any = import_module("botocore.config")
    except ImportError:
        return {"problem": "unsupported"}
    if request["api_key"] is not None:
        # The only way to give boto3 an API key.
        os.environ["AWS_BEARER_TOKEN_BEDROCK"] = request["api_key"]
    seconds = request["timeout_seconds"]
    try:
        client = boto3.client(
            "bedrock",
            endpoint_url=request["endpoint_url"],
            region_name=request["region_name"],
            config=config.Config(connect_timeout=seconds, read_timeout=seconds, retries={"total_max_attempts": 1}),
            **request["credentials"],
        )
        return {"models": list(_callable(client))}
    except exceptions.ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        return {"problem": problem_of_status(status)}
    except (exceptions.ReadTimeoutError, exceptions.ConnectTimeoutError):
        return {"problem": "timeout"}
    except (exceptions.HTTPClientError, exceptions.ConnectionError):
        return {"problem": "connection"}
    except (parsers.ResponseParserError, KeyError, TypeError):
        return {"problem": "bad_answer"}
    except (exceptions.BotoCoreError, ValueError):
        # What boto3 itself refuses, such as an API key for an address without TLS.
        return {"problem": "bad_request"}


def _callable(client: Any) -> Iterator[str]:
    """Models that are called by their own names, and the profiles by which the others are."""
    summaries = client.list_foundation_models(byOutputModality="TEXT")["modelSummaries"]
    for model in summaries:
        if "ON_DEMAND" in model.get("inferenceTypesSupported", ()):
            yield model["modelId"]
    for page in client.get_paginator("list_inference_profiles").paginate(PaginationConfig={"MaxItems": 2_000}):
        for profile in page["inferenceProfileSummaries"]:
            yield profile["inferenceProfileId"]
