"""Envelopes and keyrings: what opens, what does not, and what is never shown."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelwire.store import Keyring, KeyringError, Secrets, StoreCorrupt, UnknownKey
from modelwire.store.secrets import Envelope

SECRETS = Secrets(auth={"api_key": "canary-🔑"}, params={"extra_headers": {"n": 1.0}, "vertex_credentials": None})


def key(number: int) -> str:
    return base64.urlsafe_b64encode(bytes([number]) * 32).decode()


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_what_was_sealed_opens() -> None:
    keyring = Keyring.parse(key(1))
    envelope = keyring.seal(SECRETS, config_id="a", version=1)
    assert envelope is not None
    assert Envelope.parse(bytes(envelope)) == envelope
    assert keyring.open(envelope, config_id="a", version=1) == SECRETS
    assert b"canary" not in bytes(envelope)
    assert keyring.seal(Secrets(), config_id="a", version=1) is None


def test_each_sealing_uses_fresh_randomness() -> None:
    keyring = Keyring.parse(key(1))
    first = keyring.seal(SECRETS, config_id="a", version=1)
    second = keyring.seal(SECRETS, config_id="a", version=1)
    assert first is not None
    assert second is not None
    # Nonce and sealed data key, then nonce and sealed text: no part of one is in the other.
    for start in (0, 12, 60, 72):
        assert first.sealed[start : start + 12] != second.sealed[start : start + 12]


@pytest.mark.parametrize(("config_id", "version"), [("b", 1), ("a", 2), ("a\x001", 1)])
def test_an_envelope_copied_to_another_row_does_not_open(config_id: str, version: int) -> None:
    keyring = Keyring.parse(key(1))
    envelope = keyring.seal(SECRETS, config_id="a", version=1)
    assert envelope is not None
    with pytest.raises(StoreCorrupt, match=f"config {config_id} at version {version}") as caught:
        keyring.open(envelope, config_id=config_id, version=version)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_an_envelope_with_any_byte_changed_or_cut_off_does_not_open() -> None:
    keyring = Keyring.parse(key(1))
    envelope = keyring.seal(SECRETS, config_id="a", version=1)
    assert envelope is not None
    sealed = envelope.sealed
    damaged = [changed(sealed, at) for at in range(len(sealed))] + [sealed[:length] for length in range(len(sealed))]
    for data in damaged:
        with pytest.raises(StoreCorrupt):
            keyring.open(Envelope(envelope.key_name, data), config_id="a", version=1)


def test_the_first_key_seals_and_all_of_them_open() -> None:
    old, both = Keyring.parse(f"old:{key(1)}"), Keyring.parse(f" new:{key(2)}, old:{key(1)} ")
    assert both.names == ("new", "old")
    sealed_before = old.seal(SECRETS, config_id="a", version=1)
    sealed_now = both.seal(SECRETS, config_id="a", version=1)
    assert sealed_before is not None
    assert sealed_now is not None
    assert sealed_now.key_name == "new"
    assert both.open(sealed_before, config_id="a", version=1) == SECRETS
    with pytest.raises(UnknownKey, match=r"'new'.*MODELWIRE_ENCRYPTION_KEYS") as caught:
        old.open(sealed_now, config_id="a", version=1)
    assert caught.value.name == "new"


def test_another_key_under_the_same_name_does_not_open() -> None:
    envelope = Keyring.parse(f"k:{key(1)}").seal(SECRETS, config_id="a", version=1)
    assert envelope is not None
    with pytest.raises(StoreCorrupt, match="another key"):
        Keyring.parse(f"k:{key(2)}").open(envelope, config_id="a", version=1)


def test_a_key_without_a_name_is_named_after_itself() -> None:
    name = hashlib.sha256(b"\1" * 32).hexdigest()[:8]
    assert Keyring.parse(key(1)).names == (name,)
    # The padding is optional and does not change the key.
    assert Keyring.parse(key(1).rstrip("=")).names == (name,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no encryption key"),
        ("  ", "no encryption key"),
        (f"{key(1)},", "encryption key 2 is not 32 bytes"),
        (f"a:{key(1)},a:{key(2)}", "encryption key 2 has the name 'a'"),
        (f"{key(1)},{key(1)}", "encryption key 2 has the name"),
        (key(1)[:-2], "encryption key 1 is not 32 bytes"),
        (key(1).rstrip("=") + "A", "encryption key 1 is not 32 bytes"),
        ("+" + key(1)[1:], "URL-safe"),
        (f"two words:{key(1)}", "encryption key 1 has a bad name"),
        (f":{key(1)}", "encryption key 1 has a bad name"),
        (f"a:b:{key(1)}", "encryption key 1 has a bad name"),
        (f"{'n' * 65}:{key(1)}", "encryption key 1 has a bad name"),
    ],
)
def test_malformed_keys_are_refused_and_not_shown(text: str, message: str) -> None:
    with pytest.raises(KeyringError, match=message) as caught:
        Keyring.parse(text)
    shown = "".join(traceback.format_exception_only(caught.value))
    for part in text.replace(",", ":").split(":"):
        assert len(part) < 20 or part.strip() not in shown


def test_a_keyring_does_not_show_its_keys() -> None:
    assert repr(Keyring.parse(f"one:{key(1)},two:{key(2)}")) == "Keyring(one, two)"
    assert "canary" not in repr(SECRETS)


def test_a_key_file_is_made_once_and_for_its_user_only(tmp_path: Path) -> None:
    path = tmp_path / "modelwire.key"
    mask = os.umask(0)
    try:
        made, is_new = Keyring.from_file(path)
    finally:
        os.umask(mask)
    again, is_new_again = Keyring.from_file(path)
    assert (is_new, is_new_again) == (True, False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    envelope = made.seal(SECRETS, config_id="a", version=1)
    assert envelope is not None
    assert again.open(envelope, config_id="a", version=1) == SECRETS


def test_processes_that_start_at_once_end_with_one_key(
    tmp_path: Path, processes: Callable[[str], Callable[[str], list[Any]]]
) -> None:
    read = processes("keyring, made = Keyring.from_file(Path(argument)); return keyring.names[0], made")
    for number in range(20):
        results = read(str(tmp_path / f"{number}.key"))
        assert len({name for name, _ in results}) == 1
        assert [made for _, made in results].count(True) == 1
    assert len(list(tmp_path.iterdir())) == 20


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o777])
def test_a_key_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "modelwire.key"
    path.write_text(key(1))
    path.chmod(mode)
    with pytest.raises(KeyringError, match=f"chmod 600 {path}"):
        Keyring.from_file(path)
    path.chmod(0o600)
    assert Keyring.from_file(path)[1] is False


def test_a_key_file_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    bad = tmp_path / "bad.key"
    bad.write_text("canary")
    binary = tmp_path / "binary.key"
    binary.write_bytes(b"\xff" * 32)
    empty = tmp_path / "empty.key"
    empty.touch()
    for file in (bad, binary, empty):
        file.chmod(0o600)
    for path in (folder, bad, binary, empty, tmp_path / "missing" / "x.key", bad / "x.key"):
        with pytest.raises(KeyringError, match=f"the key file {path}") as caught:
            Keyring.from_file(path)
        assert "canary" not in str(caught.value)
