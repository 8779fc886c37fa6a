"""The models of Google Vertex AI, asked for with google-auth in a process of its own: see `litellm_call.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

from .litellm_call_problems import problem_of_status

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_PAGE_SIZE: Final = "100"
_MAX_PAGES: Final = 10


async def vertex_models(request: Mapping[str, Any]) -> dict[str, Any]:
    """The models that answer in conversations, by LiteLLM's names of them, or the class of what went wrong."""
    try:
        service_account: Any = import_module("google.oauth2.service_account")
        transport: Any = import_module("google.auth.transport.requests")
        exceptions: Any = import_module("google.auth.exceptions")
        requests: Any = import_module("requests")
    except ImportError:
        return {"problem": "unsupported"}
    with requests.Session() as session:
        try:
            credentials = service_account.Credentials.from_service_account_info(request["key_file"], scopes=[_SCOPE])
            credentials.refresh(transport.Request(session))
            session.headers["authorization"] = f"Bearer {credentials.token}"
            return {"models": list(_models(session, request["address"], request["timeout_seconds"]))}
        except requests.HTTPError as error:
            return {"problem": problem_of_status(error.response.status_code)}
        except exceptions.RefreshError as error:
            return {"problem": _refused(error)}
        except (exceptions.TransportError, requests.ConnectionError, requests.Timeout) as error:
            causes = (error, error.__cause__)
            return {"problem": "timeout" if any(isinstance(one, requests.Timeout) for one in causes) else "connection"}
        except (KeyError, TypeError, AttributeError, requests.RequestException):
            return {"problem": "bad_answer"}
        except (exceptions.GoogleAuthError, ValueError):
            # A key that is none.
            return {"problem": "bad_request"}


def _refused(error: Any) -> str:
    """What a sign-in met that failed: by RFC 6749 a refusal is an object with `error`."""
    if error.retryable:
        return "provider"
    answer = error.args[-1]
    return "authentication" if isinstance(answer, dict) and "error" in answer else "bad_answer"


def _models(session: Any, address: str, seconds: float) -> Iterator[str]:
    for model in _published_by(session, f"{address}/publishers/google/models", seconds):
        name = model["name"].rpartition("/")[2]
        # The others make vectors, pictures, or are for deployments of one's own.
        if name.startswith("gemini-") and "embedding" not in name:
            yield name
    for model in _published_by(session, f"{address}/publishers/anthropic/models", seconds):
        name, version = model["name"].rpartition("/")[2], model.get("versionId")
        yield f"{name}@{version}" if version and version != "default" else name


def _published_by(session: Any, address: str, seconds: float) -> Iterator[Any]:
    params = {"pageSize": _PAGE_SIZE}
    for _ in range(_MAX_PAGES):
        answer = session.get(address, params=params, timeout=seconds, allow_redirects=False)
        answer.raise_for_status()
        page = answer.json()
        yield from page.get("publisherModels", [])
        if not page.get("nextPageToken"):
            return
        params["pageToken"] = page["nextPageToken"]
