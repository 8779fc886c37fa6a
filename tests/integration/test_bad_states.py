"""What `modelwire serve` does with a database, a disk or a key that is not as it should be: it says so, and goes on
with what it can.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwire.store import migrate
from modelwire.subscriber import DynamicModelProvider
from modelwire.subscriber.timing import Timing

WAIT_SECONDS = 120.0
TIMING = Timing(backoff_first_seconds=0.05, backoff_max_seconds=0.2)
CANARY = "sk-canary-9f1c7e"

CREATE = """mutation($input: CreateModelConfigInput!) {
  createModelConfig(input: $input) { __typename ... on CreateModelConfigPayload { modelConfig { id version } } }
}"""
UPDATE = """mutation($input: UpdateModelConfigInput!) {
  updateModelConfig(input: $input) { ... on UpdateModelConfigPayload { modelConfig { id version } } }
}"""
RESOLVE = "{ modelConfigs { edges { node { alias model litellmParams } } } }"
ALIASES = "{ modelConfigs { edges { node { alias } } } }"


# Starts a server for each data folder that is named, one after the other; what it says goes to a file in that folder.
STARTS = """
import os, sys
from modelwire.cli import main
import modelwire.server.run  # loaded once for all of them

for folder in sys.argv[1:]:
    if os.fork() == 0:
        said = os.open(f"{folder}/said", os.O_CREAT | os.O_WRONLY)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.argv = ["modelwire", "serve", f"--data-dir={folder}/data", "--port=0"]
        try:
            main()
        except SystemExit as ended:
            os._exit(ended.code)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def make_database(data_dir: Path) -> Path:
    """A server's database before its first start, with keys."""
    data_dir.mkdir(mode=0o700)
    path = data_dir / "modelwire.db"
    migrate(f"sqlite:///{path}")
    write_keys(path, "A" * 43)
    return path


def write_keys(database: Path, text: str, mode: int = 0o600) -> None:
    file = database.with_name("modelwire.db.key")
    file.write_text(text)
    file.chmod(mode)


def truncated(database: Path) -> None:
    database.write_bytes(database.read_bytes()[:-4096])


def first_page_only(database: Path) -> None:
    database.write_bytes(database.read_bytes()[:4096])


def pages_flipped(database: Path) -> None:
    data = bytearray(database.read_bytes())
    for offset in range(4096, len(data), 64):
        data[offset] ^= 0xFF
    database.write_bytes(bytes(data))


def no_database(database: Path) -> None:
    database.write_text("these are notes" * 1000)


def newer(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from-the-future'")


def folder(database: Path) -> None:
    database.unlink()
    database.mkdir()


def key_garbage(database: Path) -> None:
    write_keys(database, "these are no keys, canary-garbage")


def key_binary(database: Path) -> None:
    database.with_name("modelwire.db.key").write_bytes(b"\xff\xfe" * 20)


def key_for_all(database: Path) -> None:
    write_keys(database, "A" * 43, mode=0o644)


def key_gone(database: Path) -> None:
    database.with_name("modelwire.db.key").unlink()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


REFUSALS: dict[Callable[[Path], None], str] = {
    truncated: "is damaged: restore a backup",
    first_page_only: "is damaged: restore a backup",
    pages_flipped: "is damaged: restore a backup",
    no_database: "is not a SQLite database: check the path, or restore a backup",
    newer: "written by a newer one; upgrade Modelwire, or give another database",
    folder: "cannot be opened: check that its folder exists",
    key_garbage: "is not 32 bytes in URL-safe base64",
    key_binary: "does not hold encryption keys",
    key_for_all: "run `chmod 600 ",
    key_gone: "is not there: put it back, or set MODELWIRE_ENCRYPTION_KEYS",
}


def test_a_start_that_cannot_be_is_one_sentence_and_changes_nothing(tmp_path: Path) -> None:
    before = {}
    for damage in REFUSALS:
        home = tmp_path / damage.__name__
        home.mkdir()
        damage(make_database(home / "data"))
        before[home] = contents(home / "data")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}
    starts = subprocess.run(
        [sys.executable, "-u", "-c", STARTS, *map(str, before)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert starts.stdout.split() == ["1"] * len(REFUSALS)
    for home, sentence in zip(before, REFUSALS.values(), strict=True):
        said = (home / "said").read_text()
        assert said.startswith("modelwire: ")
        assert sentence in said
        assert said.count("\n") == 1
        assert "canary" not in said
        assert contents(home / "data") == before[home]


def test_a_folder_that_cannot_be_made_is_named(server_process) -> None:
    server_process.data_dir = Path("/proc/modelwire")
    server_process.spawn()
    assert server_process.wait() == 1
    assert server_process.output.startswith("modelwire: the data folder /proc/modelwire cannot be used: ")
    assert server_process.output.count("\n") == 1


def test_a_database_that_this_user_may_only_read_is_refused(server_process) -> None:
    database = make_database(server_process.data_dir)
    database.chmod(0o400)
    # For root no mode counts, so it gives its rights away.
    other_user = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
    serve = [sys.executable, "-m", "modelwire", "serve", f"--data-dir={server_process.data_dir}", "--port=0"]
    ended = subprocess.run(
        [*other_user, *serve], cwd=server_process.folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"modelwire: the database {database} is read-only: check the modes of the file and its folder\n"
    )


@pytest.fixture
async def client(server, make_client) -> Any:
    """An administrator of a server that has the configs `bad` and `good`."""
    client = make_client(server, server.admin_key)
    auth = {"apiKey": {"apiKey": CANARY}}
    for alias in ("bad", "good"):
        await client.execute(CREATE, input={"alias": alias, "provider": "openai", "model": "m", "auth": auth})
    return client


def outside(server, statement: str) -> None:
    with closing(sqlite3.connect(server.data_dir / "modelwire.db", isolation_level=None)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [("sealed = X'00'", "do not open with the key"), ("sealing_key = 'lost'", "the encryption key 'lost' is needed")],
)
async def test_secrets_that_do_not_open_cost_only_their_field(server, client, damage: str, reason: str) -> None:
    async with DynamicModelProvider(
        server.url, token=server.admin_key, component="one", allowed_env=[], _timing=TIMING
    ) as provider:
        good, bad = provider.get_lite_llm_model("good"), provider.get_lite_llm_model("bad")
        await good.wait_ready(WAIT_SECONDS)
        await bad.wait_ready(WAIT_SECONDS)
        outside(server, f"UPDATE model_config_changes SET {damage} WHERE alias = 'bad'")

        answer = (await client.post(RESOLVE)).json()
        nodes = {edge["node"]["alias"]: edge["node"] for edge in answer["data"]["modelConfigs"]["edges"]}
        assert nodes["bad"] == {"alias": "bad", "model": "m", "litellmParams": None}
        assert nodes["good"]["litellmParams"]["api_key"] == CANARY
        (error,) = answer["errors"]
        assert (error["message"], error["extensions"]["code"]) == ("Internal error", "INTERNAL")
        # Whoever runs the server is told what the client is not.
        assert error["extensions"]["id"] in server.output
        assert reason in server.output

        # A component that starts now gets what can be had; one that runs keeps what it has.
        async with DynamicModelProvider(
            server.url, token=server.admin_key, component="two", allowed_env=[], _timing=TIMING
        ) as late:
            await late.get_lite_llm_model("good").wait_ready(WAIT_SECONDS)
        config = (await client.execute('{ modelConfig(by: {alias: "good"}) { id version } }'))["modelConfig"]
        update = {"id": config["id"], "expectedVersion": config["version"], "model": "m2"}
        await client.execute(UPDATE, input=update)
        changed = asyncio.Event()
        good.on_settings_change(lambda _old, _new: changed.set())
        async with asyncio.timeout(WAIT_SECONDS):
            while good.settings is None or good.settings.model != "openai/m2":
                changed.clear()
                await changed.wait()
        assert bad.settings is not None
        assert bad.settings.model == "openai/m"
    assert CANARY not in server.output
    assert "Traceback" not in server.output


async def test_a_full_disk_refuses_writes_and_nothing_else(server, client) -> None:
    before = await client.execute(ALIASES)
    pid = server.process.pid
    wal = server.data_dir / "modelwire.db-wal"
    unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    # The write-ahead log, which every write makes longer, can grow no more.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (wal.stat().st_size, unlimited[1]))
    assert len(server.output) < wal.stat().st_size / 2
    create = {"provider": "openai", "model": "m", "params": {"metadata": {"text": "x" * 10_000}}}
    for number in range(3):
        answer = (await client.post(CREATE, input={"alias": f"new-{number}", **create})).json()
        assert answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE", answer
    assert "gives errors" in server.output
    assert await client.execute(ALIASES) == before
    resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
    created = await client.execute(CREATE, input={"alias": "new-3", **create})
    assert created["createModelConfig"]["__typename"] == "CreateModelConfigPayload"
    server.kill()
    server.start()
    aliases = [edge["node"]["alias"] for edge in (await client.execute(ALIASES))["modelConfigs"]["edges"]]
    assert aliases == ["bad", "general", "good", "new-3", "planning"]


async def test_a_file_that_is_damaged_under_a_running_server_is_said_and_can_be_restored(server, client) -> None:
    made = await asyncio.to_thread(modelwire, server, "backup", "good.backup")
    assert made.returncode == 0
    outside(server, "PRAGMA wal_checkpoint(TRUNCATE)")
    path = server.data_dir / "modelwire.db"
    data = bytearray(path.read_bytes())
    for offset in range(4096, len(data), 64):
        data[offset] ^= 0xFF
    with path.open("r+b") as file:
        file.write(data)
    # What is in the caches of open connections is still right, until something is read anew.
    for answer in await asyncio.gather(*(client.post(RESOLVE) for _ in range(20))):
        for error in answer.json().get("errors", []):
            assert error["extensions"]["code"] in {"INTERNAL", "UNAVAILABLE"}
            assert "damaged" not in error["message"]
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        assert (await http.get("/healthz")).status_code == 200
    refused = await asyncio.to_thread(modelwire, server, "backup", "bad.backup")
    assert refused.returncode == 1
    assert "restore a backup" in refused.stderr
    assert not (server.folder / "bad.backup").exists()

    server.kill()
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    assert (await asyncio.to_thread(modelwire, server, "restore", "good.backup", "--yes")).returncode == 0
    server.start()
    resolved = (await client.execute(RESOLVE))["modelConfigs"]["edges"]
    assert [edge["node"]["alias"] for edge in resolved] == ["bad", "general", "good", "planning"]
    assert CANARY in json.dumps(resolved)


def modelwire(server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the settings of a server."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}
    return subprocess.run(
        [sys.executable, "-m", "modelwire", *arguments],
        cwd=server.folder,
        env={**inherited, "MODELWIRE_DATA_DIR": str(server.data_dir), **server.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
