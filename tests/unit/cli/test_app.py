from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelwire import __version__
from modelwire.cli import main
from modelwire.cli.app import app
from modelwire.cli.errors import SERVER_MODULES
from modelwire.server.settings_loading import settings_table

ROOT = Path(__file__).parents[3]

WITHOUT_SERVER = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(SERVER_MODULES)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from modelwire.cli import main
sys.argv[0] = "modelwire"
main()
"""


def run(*arguments: str, program: str | None = None) -> subprocess.CompletedProcess[str]:
    command = ["-m", "modelwire"] if program is None else ["-c", program]
    return subprocess.run(
        [sys.executable, *command, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_the_version_is_the_packages() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"modelwire {__version__}\n"


def test_the_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in ("serve", "demo", "import", "schema", "migrate"):
        assert f"  {command} " in result.output


@pytest.mark.parametrize("arguments", [["nothing"], ["import"], ["schema", "--nothing"], ["serve", "--prot", "1"]])
def test_wrong_usage_is_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["modelwire", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2


def test_serve_has_an_option_for_every_setting_that_is_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["modelwire", "serve", "--help"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 0
    help_text = capsys.readouterr().out
    for setting in settings_table():
        assert setting.variable in help_text
        assert (f"  --{setting.name.replace('_', '-')} " in help_text) == (setting.flag is not None)


def test_a_wrong_value_of_a_setting_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["modelwire", "serve", "--port", "http"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("modelwire: --port: Input should be a valid integer")


def test_without_the_server_the_client_commands_work() -> None:
    assert run("--help", program=WITHOUT_SERVER).returncode == 0
    result = run("import", "missing.yaml", "--token", "mw_x", program=WITHOUT_SERVER)
    assert (result.returncode, result.stderr) == (
        2,
        "modelwire: missing.yaml cannot be read: No such file or directory\n",
    )


@pytest.mark.parametrize("command", ["serve", "demo", "schema", "migrate"])
def test_without_the_server_its_commands_say_how_to_install_it(command: str) -> None:
    result = run(command, program=WITHOUT_SERVER)
    assert result.returncode == 1
    expected = (
        f'modelwire: `modelwire {command}` needs the server, which is not installed: pip install "modelwire[server]"\n'
    )
    assert result.stderr == expected


def test_the_modules_of_the_server_extra_are_known() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["server"]
    names = {requirement.split(";")[0].split("[")[0].split(">")[0].strip().lower() for requirement in extra}
    modules = {
        module
        for module, distributions in packages_distributions().items()
        if names & {distribution.lower() for distribution in distributions} and not module.startswith("_")
    }
    assert modules <= SERVER_MODULES
    assert len(SERVER_MODULES) >= len(names)


def test_the_command_line_loads_nothing_heavy() -> None:
    program = "import sys; import modelwire.cli.app, modelwire.cli.import_command; print(' '.join(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & (SERVER_MODULES | {"litellm", "pydantic", "cryptography", "modelwire.subscriber"})


@pytest.mark.parametrize(
    ("encoding", "out"),
    [("latin-1", b"a \\u2192 \xe4\n"), ("cp437", b"a \\u2192 \x84\n"), ("utf-8", "a → ä\n".encode())],
)
def test_what_a_terminal_has_no_character_for_is_escaped(encoding: str, out: bytes) -> None:
    print_it = (
        "from modelwire.cli import app; import typer; app.app = lambda **_: typer.echo('a \\u2192 \\xe4'); app.run()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", print_it],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, out, b"")


def test_a_full_disk_is_one_sentence() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(
            [sys.executable, "-m", "modelwire", "schema"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (ended.returncode, ended.stderr) == (1, b"modelwire: [Errno 28] No space left on device\n")
