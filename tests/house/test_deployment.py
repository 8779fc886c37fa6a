"""What deploy/ holds is sound to the tools that read it, and names settings that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from modelwire.server.settings_loading import SECRETS_VARIABLE, load_settings, settings_table

DEPLOY = Path(__file__).parents[2] / "deploy"
BIN = Path(sys.prefix) / "bin"
SETTINGS = {setting.variable for setting in settings_table()}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def unit(folder: Path) -> Path:
    """The unit as it is installed, with a program that is there on this machine."""
    text = (DEPLOY / "modelwire.service").read_text()
    path = folder / "modelwire.service"
    path.write_text(text.replace("/opt/modelwire/bin/modelwire", str(BIN / "modelwire")))
    assert str(BIN) in path.read_text()
    return path


@pytest.mark.parametrize(
    "command",
    [
        (BIN / "hadolint", DEPLOY / "Containerfile"),
        (BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"),
        ("/usr/sbin/haproxy", "-c", "-f", DEPLOY / "haproxy.cfg"),
    ],
    ids=["hadolint", "compose-spec", "haproxy"],
)
def test_the_file_is_sound_to_its_linter(command: tuple[str | Path, ...]) -> None:
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_systemd_knows_every_line_of_the_unit(tmp_path: Path) -> None:
    done = run("systemd-analyze", "verify", "--man=no", unit(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_exposed_little(tmp_path: Path) -> None:
    # Of 100: a server needs the network, and a socket of any address.
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", unit(tmp_path))
    assert done.returncode == 0, done.stdout


def test_every_variable_and_secret_is_a_setting() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    server = compose["services"]["modelwire-1"]
    assert server == compose["services"]["modelwire-2"]
    secrets = {name.upper() for name in server["secrets"]}
    assert secrets == {"MODELWIRE_DATABASE_URL", "MODELWIRE_ENCRYPTION_KEYS"}
    named = set(server["environment"]) | secrets
    for name in ("modelwire.service", "Containerfile"):
        named |= set(re.findall(r"\b(MODELWIRE_[A-Z_]+)=", (DEPLOY / name).read_text()))
    assert len(named) > 4
    assert named - SETTINGS == {SECRETS_VARIABLE}


def test_the_settings_file_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in SETTINGS:
        monkeypatch.delenv(variable, raising=False)
    assert load_settings(file=DEPLOY / "modelwire.toml").host == "127.0.0.1"


def test_the_wheel_and_nothing_else_goes_into_the_image() -> None:
    """The Containerfile copies what its list of what is sent to the engine lets through."""
    copied = re.findall(r"^COPY (?!--from)(.+) /build/$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    sent = [line[1:] for line in (DEPLOY / "Containerfile.dockerignore").read_text().split() if line.startswith("!")]
    assert set(copied[0].split()) <= set(sent)
    assert set(sent) - set(copied[0].split()) == {"dist"}
