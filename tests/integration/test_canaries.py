"""The whole life of a server with secrets that would be recognised anywhere: they leave it by `litellmParams`, and an
API key or a session's token once where it is made, and are found in no other output and in no file, in any encoding.
"""

from __future__ import annotations

import asyncio
import base64
import html
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from modelwire.store import Keyring

OLD_KEY, NEW_KEY = b"canary-old-key-of-exactly-32-by!", b"canary-new-key-of-exactly-32-by!"
ADMIN_SECRET = "ca9a51ed" * 8
ADMIN_KEY = f"mw_canary0123_{ADMIN_SECRET}"
CREDENTIALS = {
    name: f'canary-{name}-"5\\é€/+ {name[::-1]}'
    for name in (
        *("api_key", "next_api_key", "client_secret", "next_client_secret", "access_key_id", "secret_access_key"),
        *("session_token", "private_key", "header", "azure_password", "imported", "imported_header", "by_command"),
        *("misplaced", "not_ours"),
    )
}
STORED = {
    "with-key": {"auth": {"apiKey": {"apiKey": CREDENTIALS["api_key"]}}},
    "with-oauth": {
        "auth": {
            "oauth2ClientCredentials": {
                "tokenUrl": "https://login.example/token",
                "clientId": "me",
                "clientSecret": CREDENTIALS["client_secret"],
            }
        }
    },
    "with-aws": {
        "auth": {
            "awsIam": {
                "accessKeyId": CREDENTIALS["access_key_id"],
                "secretAccessKey": CREDENTIALS["secret_access_key"],
                "sessionToken": CREDENTIALS["session_token"],
            }
        }
    },
    "with-gcp": {
        "auth": {
            "gcpServiceAccount": {
                "credentialsJson": json.dumps({"private_key": CREDENTIALS["private_key"]}),
                "project": "p",
            }
        }
    },
}
PARAMS = {
    "temperature": 0.5,
    "extra_headers": {"X-Token": CREDENTIALS["header"]},
    "azure_password": CREDENTIALS["azure_password"],
}

CONFIG = """id alias description provider model apiBase params sealedParams version revision litellmModel
auth {
  __typename
  ... on ApiKeyAuth { apiKey { reference hint } }
  ... on OAuth2ClientCredentialsAuth { tokenUrl clientId clientSecret { reference hint } }
  ... on AwsIamAuth {
    accessKeyId { reference hint } secretAccessKey { reference hint } sessionToken { reference hint } regionName
  }
  ... on GcpServiceAccountAuth { credentialsJson { reference hint } project location }
}
history { edges { node { version changes { path before after secret } } } }"""
ERROR = "__typename ... on UserError { message path }"


def mutation(name: str, result: str) -> str:
    kind = name[0].upper() + name[1:]
    return (
        f"mutation($input: {kind}Input!) {{ {name}(input: $input) {{ {ERROR} ... on {kind}Payload {{ {result} }} }} }}"
    )


CREATE = mutation("createModelConfig", f"modelConfig {{ {CONFIG} }}")
UPDATE = mutation("updateModelConfig", f"modelConfig {{ {CONFIG} }} droppedCredentials")
ROLL_BACK = mutation("rollbackModelConfig", f"modelConfig {{ {CONFIG} }} droppedCredentials")
DELETE = mutation("deleteModelConfig", "id alias revision")
IMPORT = mutation("importModelConfigs", "entries { alias action reason ignored changes { path before after secret } }")
CREATE_KEY = mutation("createApiKey", "secret apiKey { id name scopes }")
SIGN_IN = mutation("signIn", "accessToken refreshToken")
REFRESH = mutation("refreshSession", "accessToken refreshToken")
SIGN_OUT = mutation("signOut", "endedSessions")
READ = f"""{{
  modelConfigs(first: 100) {{ edges {{ node {{ {CONFIG} }} }} }}
  litellm: modelConfigExport(format: LITELLM) {{ content }}
  modelwire: modelConfigExport {{ content }}
  auditLog(first: 100) {{ edges {{ node {{ action actor details hash }} }} }}
  viewer {{ subject name scopes }}
}}"""
WATCH = f"""subscription {{
  modelConfigChanged {{
    __typename revision
    ... on ModelConfigSnapshot {{ modelConfigs {{ {CONFIG} }} }}
    ... on ModelConfigChange {{ put {{ {CONFIG} }} removed {{ id alias }} }}
  }}
}}"""


def forms(secret: bytes) -> Iterator[bytes]:
    """What a secret may look like in an output."""
    yield secret
    yield secret.hex().encode()
    for shift in range(3):
        # Within a longer text that is encoded as a whole, without what its neighbours share bits with.
        plain = base64.b64encode(bytes(shift) + secret).rstrip(b"=")[4 if shift else 0 : -1]
        yield plain
        yield plain.translate(bytes.maketrans(b"+/", b"-_"))
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return
    yield from (text.encode("utf-16-le"), text.encode("utf-16-be"))
    for form in (
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        ascii(text)[1:-1],
    ):
        yield form.encode()
        yield json.dumps(form)[1:-1].encode()
    for form in (quote(text), quote(text, safe=""), quote_plus(text), html.escape(text)):
        yield form.encode()


class Secrets:
    """What must not be found. API keys are added as they are made."""

    def __init__(self) -> None:
        self._forms: dict[bytes, str] = {}
        for name, secret in CREDENTIALS.items():
            self.add(name, secret.encode())
        for name, key in (("old key", OLD_KEY), ("new key", NEW_KEY)):
            self.add(name, key)
        self.add("administrator key", ADMIN_SECRET.encode())
        self.add("administrator key", bytes.fromhex(ADMIN_SECRET))

    def add(self, name: str, secret: bytes) -> None:
        self._forms |= dict.fromkeys(forms(secret), name)

    def found_in(self, output: bytes) -> set[str]:
        return {name for form, name in self._forms.items() if form in output}


@dataclass
class Life:
    """A server with its secrets, and all that came out of it by name."""

    server: Any
    client: Any
    secrets: Secrets = field(default_factory=Secrets)
    outputs: dict[str, bytes] = field(default_factory=dict)

    async def ask(self, query: str, **variables: Any) -> Any:
        """An operation's data; its whole answer is an output."""
        response = await self.client.post(query, **variables)
        self.keep("response", response.content)
        return response.json().get("data")

    async def run(self, *arguments: str, **environment: str) -> str:
        """A command's output."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}
        settings = {"MODELWIRE_DATA_DIR": str(self.server.data_dir), **self.server.environment}
        remote = {"MODELWIRE_URL": self.server.url, "MODELWIRE_TOKEN": ADMIN_KEY}
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "modelwire", *arguments],
            cwd=self.server.folder,
            env={**inherited, **settings, **remote, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
        self.keep(" ".join(arguments), ended.stdout + ended.stderr)
        assert b"Traceback" not in ended.stderr
        return f"{ended.returncode} {ended.stdout.decode()}"

    def keep(self, name: str, output: bytes) -> None:
        self.outputs[f"{len(self.outputs)} {name}"] = output

    def keep_files(self, moment: str) -> None:
        """All that is on disk, and the database as SQL."""
        for path in [*self.server.data_dir.iterdir(), *self.server.folder.glob("*.backup")]:
            self.keep(f"{path.name} {moment}", path.read_bytes())
            if path.suffix in {".db", ".backup"}:
                with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                    self.keep(f"dump of {path.name} {moment}", "\n".join(connection.iterdump()).encode())


def key_text(name: str, key: bytes) -> str:
    return f"{name}:{base64.urlsafe_b64encode(key).decode()}"


@pytest.fixture
def life(server_process, make_client) -> Life:
    server_process.environment |= {
        "MODELWIRE_ADMIN_KEY": ADMIN_KEY,
        "MODELWIRE_ENCRYPTION_KEYS": key_text("old", OLD_KEY),
    }
    server_process.start("--log-level", "debug")
    return Life(server_process, make_client(server_process, ADMIN_KEY))


async def write(life: Life) -> None:
    """Every kind of secret, through every kind of write."""
    configs = {}
    for alias, given in STORED.items():
        created = await life.ask(
            CREATE, input={"alias": alias, "provider": "openai", "model": "m", "params": PARAMS, **given}
        )
        configs[alias] = created["createModelConfig"]["modelConfig"]
    await life.ask(CREATE, input={"alias": "with-key", "provider": "openai", "model": "m", "params": PARAMS})
    for alias, change in (
        ("with-key", {"auth": {"apiKey": {"apiKey": CREDENTIALS["next_api_key"]}}, "description": "changed"}),
        ("with-oauth", {"auth": {"oauth2ClientCredentials": {"clientSecret": CREDENTIALS["next_client_secret"]}}}),
        ("with-aws", {"alias": "renamed"}),
        ("with-gcp", {"apiBase": "https://elsewhere.example", "params": PARAMS}),
    ):
        given = {"id": configs[alias]["id"], "expectedVersion": 1, **change}
        assert (await life.ask(UPDATE, input=given))["updateModelConfig"]["modelConfig"]["version"] == 2
        await life.ask(UPDATE, input=given)  # a conflict
    given = {"id": configs["with-key"]["id"], "expectedVersion": 2, "toVersion": 1}
    assert (await life.ask(ROLL_BACK, input=given))["rollbackModelConfig"]["modelConfig"]["version"] == 3
    given = {"id": configs["with-gcp"]["id"], "expectedVersion": 2}
    assert "alias" in (await life.ask(DELETE, input=given))["deleteModelConfig"]
    headers = json.dumps({"X-Token": CREDENTIALS["imported_header"]})
    for number, key in enumerate((CREDENTIALS["imported"], CREDENTIALS["by_command"])):
        params = f"{{model: openai/m, api_key: {json.dumps(key)}, extra_headers: {headers}}}"
        content = f"model_list:\n- model_name: imported-{number}\n  litellm_params: {params}\n"
        if number:
            (life.server.folder / "models.yaml").write_text(content)
            for arguments in (["--dry-run"], [], []):
                assert (await life.run("import", "models.yaml", *arguments)).startswith("0 ")
        else:
            for dry_run in (True, False, False):
                await life.ask(IMPORT, input={"content": content, "dryRun": dry_run})
            await life.ask(IMPORT, input={"content": f"{content}]["})


async def misplace(life: Life) -> None:
    """Secrets where none belongs: every such request is refused, and the refusal does not repeat them."""
    secret = CREDENTIALS["misplaced"]
    literal = json.dumps(secret)
    given = {"alias": "x", "provider": "openai", "model": "m"}
    for wrong in (
        {"alias": f"{secret}\0"},
        {"alias": secret + "*"},
        {"apiBase": f"https://me:{secret}@models.example"},
        {"apiBase": secret},
        {"params": {"api_key": secret}},
        {"params": secret},
        {"provider": secret},
        {"maxInputTokens": secret},
        {"auth": {"apiKey": {"apiKey": [secret]}}},
        {"auth": {"apiKey": {"apiKey": secret}, "none": True}},
        {"auth": {"gcpServiceAccount": {"credentialsJson": secret}}},
        {secret: secret},
    ):
        data = await life.ask(CREATE, input={**given, **wrong})
        assert data is None or "modelConfig" not in data["createModelConfig"], wrong
    for query in (
        f"{{ modelConfig(by: {{alias: {literal}}}) {{ nothing }} }}",
        f"{{ modelConfig(by: {{alias: {literal}, id: {literal}}}) {{ id }} }}",
        f"{{ modelConfig(by: {literal}) {{ id }} }} }}",
        f"{literal} {{",
        f"{{ node(id: {literal}) {{ id }} }}",
        f"{{ modelConfigs(after: {literal}) {{ edges {{ cursor }} }} }}",
    ):
        await life.ask(query)
    async with httpx.AsyncClient(base_url=life.server.url, trust_env=False) as http:
        ours = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}
        for headers, content in (
            ({**ours, "authorization": f"Bearer mw_canary0123_{'0' * 64}"}, b"{}"),
            ({**ours, "authorization": f"Bearer {CREDENTIALS['not_ours']}".encode()}, b"{}"),
            (ours, f'{{"query": {literal}'.encode()),
            (ours, f"[{literal}]".encode()),
            ({**ours, "content-type": "text/plain"}, secret.encode()),
        ):
            response = await http.post("/graphql", headers=headers, content=content)
            assert response.status_code >= 400
            life.keep("refusal", response.content)
        for path in (f"/graphql?query={quote(secret)}", f"/{quote(secret)}"):
            life.keep("refusal", (await http.get(path, headers=ours)).content)


async def watch(life: Life) -> None:
    """The subscription, and sockets that say what they should not."""
    url = life.server.url.replace("http", "ws", 1) + "/graphql"
    secret = CREDENTIALS["misplaced"]
    init = {"type": "connection_init", "payload": {"authorization": f"Bearer {ADMIN_KEY}"}}

    def subscribe(query: str) -> dict[str, Any]:
        return {"type": "subscribe", "id": secret, "payload": {"query": query}}

    for messages in (
        [init, {**subscribe(WATCH), "id": "1"}],
        [init, {**subscribe(f"subscription {{ {json.dumps(secret)} }}"), "id": "1"}],
        [init, {"type": secret}],
        [{"type": "connection_init", "payload": {"authorization": f"Bearer {secret}"}}],
        [{"type": secret}],
    ):
        async with connect(url, subprotocols=["graphql-transport-ws"], proxy=None) as socket:
            for message in messages:
                await socket.send(json.dumps(message))
            try:
                for _ in messages:
                    life.keep("message", str(await socket.recv()).encode())
            except ConnectionClosed:
                life.keep("close", f"{socket.close_code} {socket.close_reason}".encode())


async def make_key(life: Life) -> str:
    """An API key, shown once."""
    scopes = ["model_config:read", "model_config:resolve"]
    response = await life.client.post(CREATE_KEY, input={"name": "component", "scopes": scopes})
    key: str = response.json()["data"]["createApiKey"]["secret"]
    life.keep("createApiKey", response.content.replace(key.encode(), b""))
    secret = key.rpartition("_")[2]
    life.secrets.add("API key", secret.encode())
    life.secrets.add("API key", bytes.fromhex(secret))
    return key


async def sign_in(life: Life, make_client: Any) -> None:
    """A session: its tokens, the good ones and those that are good no longer, are in the answers that give them."""
    nobody = make_client(life.server, None)
    made = (await nobody.post(SIGN_IN, input={"apiKey": ADMIN_KEY})).json()["data"]["signIn"]
    renewed = await nobody.post(REFRESH, input={"refreshToken": made["refreshToken"]})
    for each in (made, renewed.json()["data"]["refreshSession"]):
        for name in ("accessToken", "refreshToken"):
            life.secrets.add(name, each[name].rpartition(".")[2].encode())
    # Each in the place of another, broken, and in the wrong field.
    for token in (made["accessToken"], made["refreshToken"], made["accessToken"] + "x", ADMIN_KEY + "0"):
        life.keep("wrong key", (await nobody.post(SIGN_IN, input={"apiKey": token})).content)
        life.keep("wrong token", (await nobody.post(REFRESH, input={"refreshToken": token + "A"})).content)
        life.keep("wrong field", (await nobody.post(SIGN_IN, input={"apiKee": token})).content)
    refresher = make_client(life.server, made["refreshToken"])
    life.keep("refresh token", (await refresher.post(READ)).content)
    insider = make_client(life.server, made["accessToken"])
    life.keep("inside", (await insider.post(READ)).content)
    life.keep("sign out", (await insider.post(SIGN_OUT, input={})).content)
    life.keep("outside", (await insider.post(READ)).content)


async def rotate(life: Life) -> None:
    """To the new key, with a restart in between."""
    life.server.stop()
    keys = f"{key_text('new', NEW_KEY)},{key_text('old', OLD_KEY)}"
    assert Keyring.parse(keys).names == ("new", "old")
    life.server.environment["MODELWIRE_ENCRYPTION_KEYS"] = keys
    life.server.start("--log-level", "debug", "--log-format", "json")
    for arguments in (["keys", "list"], ["keys", "rotate", "--yes"], ["keys", "list", "--output", "json"]):
        assert (await life.run(*arguments)).startswith("0 ")
    short = f"new:{base64.urlsafe_b64encode(NEW_KEY).decode()[:-6]}"
    assert (await life.run("keys", "list", MODELWIRE_ENCRYPTION_KEYS=short)).startswith("1 ")


async def test_no_secret_is_found_anywhere(life: Life, make_client) -> None:
    await write(life)
    await misplace(life)
    await watch(life)
    component_key = await make_key(life)
    component = make_client(life.server, component_key)
    await sign_in(life, make_client)
    resolved = await component.post("{ modelConfigs { edges { node { alias litellmParams } } } }")
    await component.post(UPDATE, input={"id": "x", "expectedVersion": 1})
    life.keep_files("with the server running")

    # They were stored, and here they may leave: the search would find them.
    shown = life.secrets.found_in(resolved.content)
    assert {
        "next_client_secret",
        "access_key_id",
        "secret_access_key",
        "session_token",
        "header",
        "azure_password",
    } <= shown
    assert {"imported", "imported_header", "by_command"} <= shown

    await rotate(life)
    await life.ask(READ)
    for arguments in (
        ["backup", "canary.backup"],
        ["export"],
        ["export", "--format", "litellm"],
        ["history", "with-key"],
        ["audit", "log"],
        ["audit", "verify"],
        ["restore", "canary.backup", "--yes"],
    ):
        assert (await life.run(*arguments)).startswith("0 "), arguments
    assert (await life.run("restore", "models.yaml", "--yes")).startswith("1 ")
    await life.ask(READ)
    async with httpx.AsyncClient(trust_env=False) as http:
        life.keep("metrics", (await http.get(f"{life.server.url}/metrics")).content)
    life.keep_files("after the rotation")
    assert life.server.stop() == 0
    life.keep("log", life.server.output.encode())
    life.keep_files("after the end")

    assert "INFO" in life.server.output
    assert '"level": "info"' in life.server.output
    assert any(b"modelwire_commits_total" in output for output in life.outputs.values())
    found = {name: life.secrets.found_in(output) for name, output in life.outputs.items()}
    assert {name: secrets for name, secrets in found.items() if secrets} == {}


@pytest.mark.parametrize(
    "disguise",
    [
        lambda secret: secret.encode(),
        lambda secret: json.dumps({"a": secret}).encode(),
        lambda secret: json.dumps({"a": json.dumps([secret])}).encode(),
        lambda secret: repr([secret]).encode(),
        lambda secret: quote(secret).encode(),
        lambda secret: html.escape(secret).encode(),
        lambda secret: f"text {secret}".encode("utf-16"),
        lambda secret: base64.b64encode(f"user:{secret}".encode()),
        lambda secret: base64.urlsafe_b64encode(f"me:{secret}".encode()),
        lambda secret: secret.encode().hex().encode(),
    ],
)
def test_the_search_sees_through_disguises(disguise: Any) -> None:
    secrets = Secrets()
    for name, secret in CREDENTIALS.items():
        assert name in secrets.found_in(b"before " + disguise(secret) + b" after")
    assert secrets.found_in(b"canary-free text, " + Path(__file__).name.encode()) == set()
