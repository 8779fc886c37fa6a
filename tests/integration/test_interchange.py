"""`modelwire import`, `export` and `apply` as processes against a real server, and servers that seed their store."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

FILE = Path(__file__).parents[1] / "data" / "sam" / "shared_config.yaml"
# Without the one model for whose name the server has to load LiteLLM, which takes long on a busy machine.
SAM = FILE.read_text().replace('      multimodal: &multimodal_model "gemini-2.5-flash-preview-04-17"\n', "")
CANARY = "canary-5f1d-long-enough-for-a-hint"
TIMEOUT_SECONDS = 120.0

CREATE = """mutation ($input: CreateModelConfigInput!) {
  createModelConfig(input: $input) { ... on CreateModelConfigPayload { modelConfig { id version } } }
}"""
CREATE_KEY = """mutation ($input: CreateApiKeyInput!) {
  createApiKey(input: $input) { ... on CreateApiKeyPayload { secret } }
}"""
ALL = "{ modelConfigs { edges { node { alias provider model version updatedBy sealedParams litellmParams } } } }"
SEALED = {
    "alias": "sealed",
    "provider": "openai",
    "model": "gpt-4o",
    "auth": {"apiKey": {"apiKey": CANARY}},
    "params": {"temperature": 0.5, "extra_headers": {"x": CANARY}},
}


class Server(Protocol):
    """What these tests use of the server process of tests/conftest.py."""

    folder: Path
    data_dir: Path
    port: int
    url: str
    environment: dict[str, str]

    @property
    def output(self) -> str: ...
    @property
    def admin_key(self) -> str: ...
    def start(self, *arguments: str) -> None: ...
    def spawn(self, *arguments: str) -> None: ...
    def wait(self) -> int: ...
    def stop(self) -> int: ...
    def kill(self) -> None: ...


class User:
    """Somebody with a key, at a command line and at the API. `printed` is all that their commands ever printed."""

    def __init__(self, server: Server, token: str) -> None:
        self.server = server
        self.token = token
        self.printed = ""

    def environment(self, **variables: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}
        return {**inherited, "MODELWIRE_URL": self.server.url, "MODELWIRE_TOKEN": self.token, **variables}

    def run(self, *arguments: str | Path, **variables: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command without a terminal."""
        done = subprocess.run(
            [sys.executable, "-m", "modelwire", *map(str, arguments)],
            cwd=self.server.folder,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        self.printed += done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of an operation that has to go well."""
        body = {"query": query, "variables": variables}
        headers = {"authorization": f"Bearer {self.token}"}
        with httpx.Client(trust_env=False, headers=headers) as client:
            answer = client.post(f"{self.server.url}/graphql", json=body).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def configs(self) -> dict[str, Any]:
        return {edge["node"]["alias"]: edge["node"] for edge in self.ask(ALL)["modelConfigs"]["edges"]}

    def key(self, *scopes: str, aliases: list[str] | None = None) -> User:
        given = {"name": "bound", "scopes": list(scopes), "aliases": aliases}
        return User(self.server, self.ask(CREATE_KEY, input=given)["createApiKey"]["secret"])


class Terminal:
    """A command at a terminal."""

    def __init__(self, user: User, *arguments: str | Path) -> None:
        self._controller, terminal = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "modelwire", *map(str, arguments)],
            cwd=user.server.folder,
            env=user.environment(),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)
        self.screen = ""

    def read_until(self, text: str) -> None:
        while text not in self.screen:
            self.screen += os.read(self._controller, 4096).decode()

    def answer(self, line: str) -> int:
        """Type a line; the exit code."""
        os.write(self._controller, f"{line}\n".encode())
        code = self._process.wait(TIMEOUT_SECONDS)
        self.screen += os.read(self._controller, 65536).decode()
        return code

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._controller)


@pytest.fixture
def admin(server: Server) -> User:
    return User(server, server.admin_key)


@pytest.fixture
def sam(tmp_path: Path) -> Path:
    file = tmp_path / "shared_config.yaml"
    file.write_text(SAM)
    return file


@pytest.fixture
def anybody(shared_server: Server) -> User:
    """For commands that change nothing."""
    return User(shared_server, shared_server.admin_key)


@pytest.fixture
def terminal(admin: User, tmp_path: Path) -> Iterator[Terminal]:
    """`modelwire apply` of a file that makes one config, at its question."""
    (tmp_path / "one.yaml").write_text("modelwire: 1\nmodel_configs:\n  one: {provider: openai, model: m}\n")
    terminal = Terminal(admin, "apply", "one.yaml")
    terminal.read_until("Apply this? [y/N]: ")
    yield terminal
    terminal.close()


def test_a_sam_file_with_the_variables_of_who_imports_it(server_process: Server, sam: Path) -> None:
    server_process.environment = {"MAX_TOKENS": "999", "IMAGE_MODEL_NAME": "openai/the-servers"}
    server_process.start()
    admin = User(server_process, server_process.admin_key)
    variables = {
        "MAX_TOKENS": "512",
        "LLM_SERVICE_API_KEY": CANARY,
        "ANTHROPIC_API_KEY": CANARY,
    }
    code, printed, _ = admin.run("import", sam, **variables)

    assert code == 0
    assert [line.split()[:2] for line in printed.splitlines()[1:5]] == [
        ["UPDATE", "planning"],
        ["UPDATE", "general"],
        ["SKIP", "image_gen"],
        ["CREATE", "oauth_planning"],
    ]
    assert "`model` takes the variable IMAGE_MODEL_NAME, which has no value and no default" in printed
    assert "Sections that Modelwire does not use: broker_connection, services" in printed
    planning = admin.configs()["planning"]["litellmParams"]
    assert planning["api_key"] == "os.environ/LLM_SERVICE_API_KEY"
    assert planning["max_tokens"] == 512
    assert CANARY not in json.dumps(admin.configs())


def test_export_edit_apply(admin: User, tmp_path: Path) -> None:
    admin.ask(CREATE, input=SEALED)
    admin.ask(CREATE, input={"alias": "old", "provider": "openai", "model": "m"})
    file = tmp_path / "configs.yaml"

    assert admin.run("export", "--file", file) == (0, "", "")
    assert admin.run("export") == (0, file.read_text(), "")
    code, printed, _ = admin.run("apply", file)
    assert code == 0
    assert printed.splitlines()[1:] == ["  0 to create, 0 to change, 0 to delete, 4 unchanged"]

    text = file.read_text().replace("temperature: 0.5", "temperature: 0.25")
    text = text.replace("  old:\n    provider: openai\n    model: m\n", "  new:\n    provider: openai\n    model: n\n")
    file.write_text(text.replace("  planning: {}\n", ""))
    before = admin.configs()
    plan = [
        "  + new",
        '      provider: "openai"',
        '      model: "n"',
        '      auth.type: "none"',
        "  ~ sealed",
        "      params.temperature: 0.5 → 0.25",
        "  - old",
        "    planning  (the file does not name it; it stays as it is, because components count on a default alias)",
        "  1 to create, 1 to change, 1 to delete, 2 unchanged",
    ]
    code, printed, problem = admin.run("apply", file)
    assert (code, printed.splitlines()[1:]) == (2, plan)
    assert problem == (
        "modelwire: nothing was changed: there is no terminal to ask at; look at the plan, then say --yes\n"
    )
    assert admin.configs() == before

    code, printed, problem = admin.run("apply", file, "--yes")
    assert (code, problem) == (0, "")
    assert printed.splitlines()[1:-1] == plan
    assert printed.splitlines()[-1].startswith("Applied at revision ")
    after = admin.configs()
    assert sorted(after) == ["general", "new", "planning", "sealed"]
    assert after["sealed"]["litellmParams"] == {**before["sealed"]["litellmParams"], "temperature": 0.25}
    assert after["sealed"]["litellmParams"]["api_key"] == CANARY
    assert after["planning"] == before["planning"]
    assert CANARY not in admin.printed + file.read_text()


def test_everything_as_json(admin: User, tmp_path: Path) -> None:
    admin.ask(CREATE, input=SEALED)
    file = tmp_path / "configs.yaml"

    code, printed, _ = admin.run("export", "--output", "json")
    exported = json.loads(printed)
    assert (code, exported["format"]) == (0, "modelwire")
    assert exported["content"].startswith("# Model configs of Modelwire")
    code, printed, _ = admin.run("export", "--format", "litellm", "--file", file, "--output", "json")
    assert json.loads(printed) == {"format": "litellm", "revision": exported["revision"], "file": str(file)}
    assert "# sealed: sealed and left out: api_key, extra_headers" in file.read_text()

    file.write_text("modelwire: 1\nmodel_configs:\n  sealed: {provider: openai, model: gpt-4o}\n")
    code, printed, problem = admin.run("apply", file, "--yes", "--output", "json")
    applied = json.loads(printed)
    assert code == 0
    assert applied["revision"] != exported["revision"]
    assert applied["entries"][0] == {
        "alias": "sealed",
        "action": "UPDATE",
        "reason": "stored credentials were dropped, because the provider, the kind of auth or the address changed",
        "ignored": [],
        "changes": [
            {"path": ["auth", "type"], "before": "apiKey", "after": "none", "secret": False},
            {"path": ["auth", "apiKey"], "before": None, "after": None, "secret": True},
            {"path": ["params", "temperature"], "before": 0.5, "after": None, "secret": False},
            {"path": ["params", "extra_headers"], "before": None, "after": None, "secret": True},
        ],
    }
    assert "~ sealed" in problem
    assert "auth.apiKey: (secret) changes" in problem

    code, printed, _ = admin.run("apply", file, "--output", "json")
    assert (code, json.loads(printed)["revision"]) == (0, None)
    assert CANARY not in admin.printed


@pytest.mark.parametrize("output", ["table", "json"])
def test_litellms_form_of_an_export_can_be_applied(admin: User, tmp_path: Path, output: str) -> None:
    admin.ask(CREATE, input=SEALED)
    admin.run("export", "--format", "litellm", "--file", tmp_path / "config.yaml")

    code, printed, problem = admin.run("apply", "config.yaml", "--output", output)

    assert code == 0
    assert "0 to create, 0 to change, 0 to delete, 3 unchanged" in printed + problem
    assert admin.configs()["sealed"]["litellmParams"]["api_key"] == CANARY


@pytest.mark.parametrize("yes", ["yes", "Y"])
def test_yes_at_the_terminal_applies(admin: User, terminal: Terminal, yes: str) -> None:
    assert terminal.answer(yes) == 0
    assert "Applied at revision" in terminal.screen
    assert "one" in admin.configs()


@pytest.mark.parametrize("no", ["no", "", "yess"])
def test_anything_else_at_the_terminal_changes_nothing(admin: User, terminal: Terminal, no: str) -> None:
    assert terminal.answer(no) == 1
    assert "nothing was changed" in terminal.screen
    assert "one" not in admin.configs()


def test_a_change_behind_the_plan_is_refused(admin: User, terminal: Terminal) -> None:
    admin.ask(CREATE, input=SEALED)

    assert terminal.answer("yes") == 3
    assert "nothing was changed: the plan is out of date: a model config was changed in the meantime" in terminal.screen
    assert sorted(admin.configs()) == ["general", "planning", "sealed"]


def test_a_bound_key_exports_and_applies_what_it_sees(admin: User, tmp_path: Path) -> None:
    for alias in ("team-a/x", "team-a/y", "team-b/x"):
        admin.ask(CREATE, input={**SEALED, "alias": alias})
    reader = admin.key("model_config:read", aliases=["team-a/*"])
    writer = admin.key("model_config:read", "model_config:write", aliases=["team-a/*"])
    file = tmp_path / "configs.yaml"

    assert reader.run("export", "--file", file)[0] == 0
    assert "team-b" not in file.read_text()
    file.write_text(file.read_text().replace("  team-a/y:", "  team-a/z:"))
    code, _, problem = reader.run("apply", file, "--yes")
    assert (code, "model_config:write" in problem) == (3, True)
    assert writer.run("apply", file, "--yes")[0] == 0

    assert sorted(admin.configs()) == ["general", "planning", "team-a/x", "team-a/z", "team-b/x"]
    file.write_text("modelwire: 1\nmodel_configs:\n  general: {provider: openai, model: m}\n")
    code, _, problem = writer.run("apply", file, "--yes")
    assert (code, "bound to other aliases than 'general'" in problem) == (3, True)
    assert CANARY not in reader.printed + writer.printed


def test_a_literal_secret_is_refused_with_its_line_and_not_repeated(admin: User, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "modelwire: 1\nmodel_configs:\n  a: {provider: openai, model: m}\n"
        f"  b:\n    auth:\n      type: api_key\n      api_key: {CANARY}\n"
    )
    for command in (["apply", "a.yaml", "--yes"], ["import", "a.yaml"]):
        code, printed, problem = admin.run(*command)
        assert (code, printed) == (3, "")
        assert "line 7: `api_key` holds a secret" in problem
        assert "write os.environ/NAME" in problem
    assert sorted(admin.configs()) == ["general", "planning"]
    assert CANARY not in admin.printed + admin.server.output


@pytest.mark.parametrize("command", ["import", "apply"])
def test_a_file_of_50_megabytes_is_refused_before_it_is_sent(anybody: User, tmp_path: Path, command: str) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(50 * 1024 * 1024)

    assert anybody.run(command, path) == (
        2,
        "",
        f"modelwire: {path} is larger than 1024 KiB, the most that a server takes: divide it\n",
    )


def test_a_file_whose_request_is_too_large_is_refused_by_the_server(anybody: User, tmp_path: Path) -> None:
    # As JSON each quotation mark takes two bytes.
    path = tmp_path / "quotes.yaml"
    path.write_text('"' * 1_000_000)

    assert anybody.run("import", path) == (3, "", "modelwire: A body has at most 1048576 bytes.\n")


def test_an_export_that_cannot_be_written(anybody: User) -> None:
    code, printed, problem = anybody.run("export", "--file", "no/such/folder.yaml")

    assert (code, printed, problem) == (
        1,
        "",
        "modelwire: no/such/folder.yaml cannot be written: No such file or directory\n",
    )


def test_a_server_is_seeded_at_its_first_start_alone(server_process: Server, sam: Path) -> None:
    server_process.environment = {"LLM_SERVICE_API_KEY": CANARY, "LLM_SERVICE_PLANNING_MODEL_NAME": "openai/first"}
    server_process.start("--seed-file", str(sam))
    admin = User(server_process, server_process.admin_key)
    seeded = admin.configs()
    assert sorted(seeded) == ["general", "oauth_planning", "planning"]
    assert seeded["planning"]["model"] == "first"
    assert {config["updatedBy"] for config in seeded.values()} == {"system"}

    server_process.stop()
    server_process.environment["LLM_SERVICE_PLANNING_MODEL_NAME"] = "openai/second"
    server_process.start("--seed-file", str(sam))
    assert admin.configs() == seeded

    file = server_process.folder / "none.yaml"
    file.write_text("modelwire: 1\nmodel_configs: {}\n")
    assert admin.run("apply", file, "--yes")[0] == 0
    server_process.stop()
    server_process.start("--seed-file", "/no/such/file.yaml")
    assert sorted(admin.configs()) == ["general", "planning"]
    assert CANARY not in server_process.output


def test_a_server_takes_the_variables_of_sam_without_a_file(server_process: Server) -> None:
    server_process.environment = {
        "LLM_SERVICE_ENDPOINT": "https://llm.example.com/v1",
        "LLM_SERVICE_API_KEY": CANARY,
        "LLM_SERVICE_GENERAL_MODEL_NAME": "openai/gpt-4o",
        "LLM_SERVICE_PLANNING_MODEL_NAME": "openai/o3",
    }
    server_process.start()
    admin = User(server_process, server_process.admin_key)

    assert {alias: config["litellmParams"] for alias, config in admin.configs().items()} == {
        "general": {"model": "openai/gpt-4o", "api_base": "https://llm.example.com/v1", "api_key": CANARY},
        "planning": {"model": "openai/o3", "api_base": "https://llm.example.com/v1", "api_key": CANARY},
    }
    assert CANARY not in server_process.output
    assert CANARY.encode() not in b"".join(path.read_bytes() for path in server_process.data_dir.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "it cannot be read: No such file or directory"),
        ("model_list: [", "line 1, column 14: "),
        ("modelwire: 1\nmodel_configs:\n  a: {modle: x}\n", "line 3: `modle` is not known here"),
    ],
)
def test_a_seed_file_that_cannot_be_used_is_a_refusal_to_start(
    server_process: Server, content: str | None, message: str
) -> None:
    file = server_process.folder / "seed.yaml"
    if content is not None:
        file.write_text(content)
    server_process.environment = {"MODELWIRE_SEED_FILE": str(file)}
    server_process.spawn()

    assert server_process.wait() == 1
    assert (
        f"modelwire: the seed file {file} cannot be used, and nothing was written: {message}" in server_process.output
    )
    assert "Traceback" not in server_process.output

    file.write_text("models: {general: openai/gpt-4o}")
    server_process.start()
    # The administrator key is made by the start that shows it.
    admin = User(server_process, server_process.admin_key)
    assert admin.configs()["general"]["model"] == "gpt-4o"


def test_of_two_servers_that_start_at_once_one_seeds(server_process: Server, sam: Path) -> None:
    server_process.environment = {
        "MODELWIRE_SEED_FILE": str(sam),
        "MODELWIRE_ADMIN_KEY": f"mw_canary0123_{'ab' * 32}",
    }
    other = type(server_process)(server_process.folder)
    other.environment = server_process.environment
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: each.start(), (server_process, other)))
        token = server_process.environment["MODELWIRE_ADMIN_KEY"]
        found = User(server_process, token).configs()
        assert User(other, token).configs() == found
    finally:
        other.kill()

    assert sorted(found) == ["general", "oauth_planning", "planning"]
    assert {alias: config["version"] for alias, config in found.items()} == {
        "general": 2,
        "oauth_planning": 1,
        "planning": 2,
    }
    # Both write to one log.
    assert server_process.output.count("gave 3 model configs to the new store") == 1
