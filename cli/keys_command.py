"""`modelwire keys`: the keys that seal stored secrets. They work on the database, beside a server that runs."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from pathlib import Path

import typer

from ..server.settings import Settings
from ..store import AuditAction, AuditEvent, KeyUse, SealedRows, Store, new_key
from .asking import confirm
from .database import opened_store
from .errors import CommandError, ExitCode
from .output import Output, print_json
from .progress import Advance, progress
from .server_settings import server_settings

_PASSES = 3
_NOTHING = KeyUse(rows=0, current=0)


def generate_key(*, output: Output) -> None:
    """Print a new random key."""
    if output is Output.JSON:
        print_json({"key": new_key()})
    else:
        typer.echo(new_key())


def list_keys(config: Path | None, *, output: Output) -> None:
    """Print each key's name, whether it is at hand, and how much it seals; never a key. Raises CommandError."""
    settings = server_settings(config)

    async def ask() -> tuple[tuple[str, ...], dict[str, KeyUse]]:
        async with opened_store(settings) as store:
            return store.sealed_rows.key_names, await store.sealed_rows.key_uses()

    given, uses = asyncio.run(ask())
    names = [*given, *sorted(uses.keys() - set(given))]
    if output is Output.JSON:
        rows = [
            {
                "name": name,
                "given": name in given,
                "seals": name == given[0],
                "versions": uses.get(name, _NOTHING).rows,
                "modelConfigs": uses.get(name, _NOTHING).current,
            }
            for name in names
        ]
        print_json({"keys": rows, "source": _source(settings)})
        return
    width = max(len(name) for name in names)
    for name in names:
        use = uses.get(name, _NOTHING)
        line = f"{name:<{width}}  {_described(use)}"
        if name not in given:
            line += f"; NOT GIVEN: add it to {_source(settings)}"
        elif name == given[0]:
            line += "; seals what is written now"
        typer.echo(line)


def _described(use: KeyUse) -> str:
    if use.rows == 0:
        return "seals no version"
    return f"seals {_versions(use.rows)}, {use.current} of them current"


def _versions(count: int) -> str:
    return f"{count} version{'' if count == 1 else 's'}"


@dataclass
class Rotation:
    """What `keys rotate` did. `left` counts rows that are still under other keys than `key`, `retired_to` is the file
    that the unneeded keys went to, None when they stay where they are.
    """

    key: str = ""
    resealed: int = 0
    left: int = 0
    problems: list[str] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)
    unneeded: list[str] = field(default_factory=list)
    retired_to: str | None = None


def rotate_keys(config: Path | None, *, new: bool, yes: bool, output: Output) -> ExitCode:
    """Seal all secrets under the first key, or under a new one. Raises CommandError; FAILED when rows are left."""
    settings = server_settings(config)
    in_file = settings.encryption_keys is None
    if new and not in_file:
        raise CommandError(
            "the keys come from MODELWIRE_ENCRYPTION_KEYS, which this command cannot change: put a key of "
            "`modelwire keys generate` in front of those there, restart the servers with it, and run "
            "`modelwire keys rotate`",
            ExitCode.USAGE,
        )
    if not in_file and not yes:
        confirm(
            "Do all servers run with the first key of MODELWIRE_ENCRYPTION_KEYS already? Others could not open what is "
            "sealed under it. Go on?",
            unasked="every server needs the first key before this is run; say that they have it with --yes",
        )
    rotation = Rotation()
    try:
        asyncio.run(_rotate(settings, rotation, new=new, quiet=output is Output.JSON))
    except KeyboardInterrupt:
        raise CommandError(
            f"interrupted, {_versions(rotation.left)} left under other keys; nothing is lost: run "
            "`modelwire keys rotate` again"
        ) from None
    _print(rotation, output)
    return ExitCode.FAILED if rotation.left else ExitCode.DONE


async def _rotate(settings: Settings, rotation: Rotation, *, new: bool, quiet: bool) -> None:
    async with opened_store(settings) as store:
        rows = store.sealed_rows
        if new:
            await rows.add_key()
        rotation.key = rows.key_names[0]
        replaced = sorted((await rows.key_uses()).keys() - {rotation.key})
        rotation.left = await _left(rows)
        if not quiet and rotation.left:
            typer.echo(f"To be sealed under the key {rotation.key}: {_versions(rotation.left)}.")
        try:
            with progress("Sealing", total=rotation.left) as advance:
                for _ in range(_PASSES):
                    if not await _pass(rows, rotation, advance):
                        break
            await _finish(store, rotation)
        finally:
            # Also of one that was interrupted: what it did stays.
            await _record(store, rotation, replaced, new=new)


async def _record(store: Store, rotation: Rotation, replaced: list[str], *, new: bool) -> None:
    retired = rotation.unneeded if rotation.retired_to is not None else []
    if not (new or rotation.resealed or retired):
        return
    details = {
        "key": rotation.key,
        "newKey": new,
        "replaced": replaced,
        "retired": retired,
        "versions": rotation.resealed,
        "left": rotation.left,
    }
    await store.audit_log.record([AuditEvent(action=AuditAction.KEYS_ROTATE, actor="system", details=details)])


async def _pass(rows: SealedRows, rotation: Rotation, advance: Advance) -> bool:
    """Go once through all; whether another round is worth it, because rows were added meanwhile."""
    rotation.problems = []
    async for batch in rows.reseal():
        rotation.resealed += batch.rows
        rotation.left = max(0, rotation.left - batch.rows)
        rotation.problems += batch.problems
        advance(rotation.resealed, rotation.resealed + rotation.left)
    rotation.left = await _left(rows)
    return rotation.left > len(rotation.problems)


async def _finish(store: Store, rotation: Rotation) -> None:
    unused, retired_to = await store.sealed_rows.retire_unused_keys()
    uses = await store.sealed_rows.key_uses()
    rotation.unneeded = list(unused)
    rotation.needed = sorted(name for name in uses if name != rotation.key)
    rotation.left = await _left(store.sealed_rows)
    rotation.retired_to = None if retired_to is None else str(retired_to)


async def _left(rows: SealedRows) -> int:
    first = rows.key_names[0]
    return sum(use.rows for name, use in (await rows.key_uses()).items() if name != first)


def _print(rotation: Rotation, output: Output) -> None:
    if output is Output.JSON:
        result = asdict(rotation)
        result["retiredTo"] = result.pop("retired_to")
        print_json(result)
        return
    typer.echo(f"Sealed again under the key {rotation.key}: {_versions(rotation.resealed)}.")
    for problem in rotation.problems:
        typer.echo(f"Left as it is: {problem}", err=True)
    if rotation.left:
        typer.echo(
            f"Still sealed under {', '.join(rotation.needed)}: {_versions(rotation.left)}. Keep these keys; if "
            "servers run that still seal under them, restart those and run `modelwire keys rotate` again.",
            err=True,
        )
    if rotation.unneeded:
        where = (
            f"It was moved to {rotation.retired_to}: keep that file while there are backups from before now, "
            "and delete it afterwards."
            if rotation.retired_to is not None
            else "Take it out of MODELWIRE_ENCRYPTION_KEYS; keep it while there are backups from before now."
        )
        typer.echo(f"No longer needed: {', '.join(rotation.unneeded)}. {where}")


def _source(settings: Settings) -> str:
    return "MODELWIRE_ENCRYPTION_KEYS" if settings.encryption_keys is not None else str(settings.key_file)
