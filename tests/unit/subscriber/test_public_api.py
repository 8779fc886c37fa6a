"""The public API is `__all__`; what importing it costs; the error tree as it is printed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import modelwire.subscriber as subscriber
from modelwire.subscriber import errors


def test_all_names_what_the_package_offers() -> None:
    assert set(subscriber.__all__) == {
        "DEFAULT_ALLOWED_ENV",
        "ConfigRefused",
        "ConfigurationError",
        "DynamicModelProvider",
        "LinkState",
        "LinkStatus",
        "LiteLlm",
        "ModelNotReady",
        "ModelSettings",
        "ModelStatus",
        "OAuthFailed",
        "ProbeOutcome",
        "ProviderClosed",
        "SubscriberError",
        "probe_model",
    }
    assert all(hasattr(subscriber, name) for name in subscriber.__all__)


def test_import_loads_neither_what_is_heavy_nor_the_server_side() -> None:
    code = "import sys, json, modelwire.subscriber; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    loaded = {name.split(".")[0] for name in json.loads(output)}
    assert "asyncio" in loaded
    heavy = {
        "websockets",
        "litellm",
        "openai",
        "httpx",
        "oauthlib",
        "pydantic",
        "cryptography",
        "graphql",
        "strawberry",
        "sqlalchemy",
        "starlette",
    }
    assert not loaded & heavy
    parts = {".".join(name.split(".")[:2]) for name in json.loads(output) if name.startswith("modelwire.")}
    assert parts == {"modelwire.subscriber"}


def test_litellm_reads_no_file_into_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CANARY=from-the-file\n")
    code = (
        "import os; from modelwire.subscriber.library import load_litellm as load; load(); print(os.getenv('CANARY'))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LITELLM_")}
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path, env=environment
    )
    assert output.stdout == b"None\n"


def test_the_printed_error_tree_is_the_real_one() -> None:
    lines = [
        line for line in (errors.__doc__ or "").splitlines() if re.match(r"(│   |    )*[├└]── |SubscriberError$", line)
    ]
    printed: dict[str, str] = {}
    parents = ["", ""]
    for line in lines:
        match = re.match(r"((?:│   |    )*)(?:[├└]── )?(\w+)", line)
        assert match
        depth = len(match[1]) // 4 + (1 if "──" in line else 0)
        parents[depth + 1 :] = [match[2]]
        printed[match[2]] = parents[depth]
    real = {
        name: next((base.__name__ for base in item.__bases__ if issubclass(base, errors.SubscriberError)), "")
        for name, item in vars(errors).items()
        if isinstance(item, type) and issubclass(item, errors.SubscriberError)
    }
    assert printed == real
