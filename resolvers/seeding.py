"""The first model configs of a new store: from a file, else from the variables that Solace Agent Mesh reads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..store import DEFAULT_ALIASES, Store
from .errors import InvalidInput, translates_store_errors
from .importing import MAX_BYTES, ImportFormat, ParsedEntry, parse_import
from .importing.litellm_entry import SkipEntry, read_model
from .model_config_import import ImportAction, ImportEntry, apply_entries

logger = logging.getLogger(__name__)

SUBJECT = "system"
# A new store writes its identity and its placeholders at this revision.
_FOUNDED = 1


@translates_store_errors
async def seed(store: Store, *, file: Path | None, environment: Mapping[str, str]) -> bool:
    """Fill a store to which nothing but its own placeholders was ever written; any other stays as it is.

    The configs are those of `file`, of any format that can be imported, in which `${NAME}` stands for the environment's
    variables. Without a file they are `planning` and `general` as LLM_SERVICE_PLANNING_MODEL_NAME and
    LLM_SERVICE_GENERAL_MODEL_NAME name them, with LLM_SERVICE_ENDPOINT and LLM_SERVICE_API_KEY. That key is stored as a
    value, sealed, and not as a reference: components need no such variable.

    Several servers may call it at once; one of them seeds. Says in the log what came of it, and whether it wrote
    anything. Raises InvalidInput for a file that cannot be read, with nothing written.
    """
    if await store.revision() != _FOUNDED:
        return False
    source = "the LLM_SERVICE_* variables" if file is None else f"the seed file {file}"
    try:
        entries = await _from_environment(environment) if file is None else await _from_file(file, environment)
        async with store.transaction(by=SUBJECT, via="seed") as transaction:
            if await transaction.base_revision() != _FOUNDED:
                return False
            seeded = await apply_entries(transaction, entries)
            wrote = transaction.revision is not None
    except InvalidInput as error:
        raise InvalidInput(f"{source} cannot be used, and nothing was written: {error.message}") from None
    _report(source, seeded)
    return wrote


async def _from_file(file: Path, environment: Mapping[str, str]) -> Sequence[ParsedEntry]:
    content = await asyncio.to_thread(_read, file)
    return (await parse_import(content, ImportFormat.AUTO, environment)).entries


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"it cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise InvalidInput(f"it is larger than {MAX_BYTES // 1024} KiB")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("it is not a text in UTF-8") from None


async def _from_environment(environment: Mapping[str, str]) -> Sequence[ParsedEntry]:
    entries = []
    for alias in DEFAULT_ALIASES:
        fields = {
            "model": environment.get(f"LLM_SERVICE_{alias.upper()}_MODEL_NAME"),
            "api_base": environment.get("LLM_SERVICE_ENDPOINT"),
            "api_key": environment.get("LLM_SERVICE_API_KEY"),
        }
        if not fields["model"]:
            continue
        try:
            model, _ = await read_model(alias, fields)
            entries.append(ParsedEntry(alias=alias, model=model))
        except SkipEntry as skip:
            entries.append(ParsedEntry(alias=alias, reason=str(skip)))
    return entries


def _report(source: str, seeded: Sequence[ImportEntry]) -> None:
    for entry in seeded:
        if entry.action is ImportAction.SKIP:
            logger.warning("%s: %r was left out: %s", source, entry.alias, entry.reason)
        elif entry.reason is not None:
            logger.warning("%s: %r: %s", source, entry.alias, entry.reason)
    count = sum(entry.action in {ImportAction.CREATE, ImportAction.UPDATE} for entry in seeded)
    if count:
        logger.info("%s gave %d model configs to the new store", source, count)
