"""`modelwire watch`: what a component would see, as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from ..subscriber import DEFAULT_ALLOWED_ENV
from .errors import ExitCode
from .live import follow, make_link
from .model_configs import value_text
from .output import Output, in_line, moment_text, print_json, printable
from .watching import Seen, Setting, Watch

if TYPE_CHECKING:
    from ..subscriber.status import LinkStatus

_REFUSED_HINT = (
    "the API key has to be valid, and needs the scopes model_config:read and model_config:resolve for what is watched"
)
_STYLES = {"live": "green", "stale": "yellow", "would_apply": "green", "refused": "red", "absent": "yellow"}


def watch_configs(
    aliases: list[str],
    *,
    allow_env: list[str],
    once: bool,
    timeout_seconds: float,
    url: str | None,
    token: str | None,
    output: Output,
) -> ExitCode:
    """Show the link and what it brings, until Ctrl-C; with `once` what there is now.

    With `once` the code tells how that is: REFUSED when not all would be applied, FAILED when it did not come within
    `timeout_seconds`. Raises CommandError (USAGE).
    """
    try:
        return asyncio.run(_Watching(aliases, allow_env, once=once, output=output).run(url, token, timeout_seconds))
    except KeyboardInterrupt:
        return ExitCode.DONE


class _Watching:
    """One run of the command. It knows whether all was well that it has shown."""

    def __init__(self, aliases: list[str], allow_env: list[str], *, once: bool, output: Output) -> None:
        self._once = once
        self._json = output is Output.JSON
        self._named = bool(aliases)
        self._width = max(map(len, [*aliases, "link"]))
        self._ended = asyncio.Event()
        self._code = ExitCode.DONE
        self._refused = False
        self._unwritable: OSError | None = None
        self._watch = Watch(
            aliases,
            allowed_env=(*DEFAULT_ALLOWED_ENV, *allow_env),
            report=self._show,
            settled=self._settled,
            refused=self._denied,
        )

    async def run(self, url: str | None, token: str | None, timeout_seconds: float) -> ExitCode:
        link, self._address = make_link(url, token)
        self._show_link(link.status)
        in_time = await follow(
            link,
            self._watch,
            ended=self._ended,
            on_status=lambda _, status: self._show_link(status),
            timeout_seconds=timeout_seconds if self._once else None,
        )
        if self._unwritable is not None:
            raise self._unwritable
        if not in_time:
            typer.echo(f"modelwire: nothing came from the server within {timeout_seconds:g} s", err=True)
            return ExitCode.FAILED
        return self._code

    def _settled(self) -> None:
        if self._once:
            self._ended.set()

    def _denied(self) -> None:
        # The link says why in a moment.
        self._refused = True

    def _show_link(self, status: LinkStatus) -> None:
        error, hint = None if status.state == "live" else status.last_error, _REFUSED_HINT if self._refused else None
        if status.state == "live":
            self._refused = False
        if self._once and self._refused:
            self._code = ExitCode.REFUSED
            self._ended.set()
        if self._json:
            self._print(type="link", state=str(status.state), url=self._address, error=error, hint=hint)
            return
        text = typer.style(str(status.state), fg=_STYLES.get(str(status.state)))
        if error is None and status.state == "connecting":
            text += f" to {printable(self._address)}"
        elif error is not None:
            text += f": {in_line(error)}; it comes back by itself"
        self._line("link", text)
        if hint is not None:
            self._line("", hint)

    def _show(self, seen: Seen) -> None:
        if seen.kind in {"refused", "absent"} or (self._named and seen.kind == "placeholder"):
            self._code = ExitCode.REFUSED if self._once else self._code
        if self._json:
            self._print(**_as_json(seen))
            return
        self._line(seen.alias, _sentence(seen))
        for line in _setting_lines(seen):
            self._line("", f"  {line}")

    def _print(self, **values: Any) -> None:
        with self._ending_unread():
            print_json({"at": datetime.now(UTC).isoformat(), **values}, lines=True)

    def _line(self, subject: str, text: str) -> None:
        at = f"{datetime.now(UTC):%H:%M:%S}Z" if subject else " " * 9
        # Which aliases there are is known by and by when none was named.
        self._width = max(self._width, len(subject))
        with self._ending_unread():
            typer.echo(f"{at}  {printable(subject):<{self._width}}  {text}")

    @contextmanager
    def _ending_unread(self) -> Iterator[None]:
        """End when nobody reads what is printed. The link would take the error for one of its own, and come back."""
        try:
            yield
        except OSError as error:
            self._unwritable = error
            self._ended.set()


def _sentence(seen: Seen) -> str:
    """What became of a config, for people."""
    match seen.kind:
        case "absent":
            return "no config has this alias: a component's model waits for one"
        case "removed":
            return "deleted, renamed away, or not to be seen any more: nothing to make calls with"
    version = f"version {seen.config['version']}"
    at, who = seen.config.get("updatedAt"), seen.config.get("updatedBy")
    by = f"  ({moment_text(at)} by {printable(who or '')})" if at else ""
    if seen.kind == "placeholder":
        return f"{version} is a placeholder: nothing to make calls with{by}"
    if seen.kind == "refused":
        stays = "nothing to go on with" if seen.in_use is None else f"version {seen.in_use} would stay in use"
        verdict = typer.style("would be REFUSED", fg="red")
        return f"{version} {verdict}, {printable(seen.reason or '')}: {in_line(seen.message or '')}; {stays}{by}"
    return f"{version} {typer.style('would be applied', fg='green')}{by}"


def _setting_lines(seen: Seen) -> Iterator[str]:
    """The settings of a version: all of the first one that is seen, then those that changed."""
    if not seen.settings:
        return
    before = {setting.name: setting for setting in seen.before}
    after = {setting.name: setting for setting in seen.settings}
    for name in sorted(seen.changed):
        if not before:
            yield f"{printable(name)}: {_text(after[name])}"
        elif name not in after:
            yield f"{printable(name)}: gone"
        elif name not in before:
            yield f"{printable(name)}: {_text(after[name])}  (new)"
        elif after[name].hidden and before[name].hidden:
            yield f"{printable(name)}: (secret) changed"
        else:
            yield f"{printable(name)}: {_text(before[name])} → {_text(after[name])}"


def _text(setting: Setting) -> str:
    return "(secret)" if setting.hidden else value_text(setting.value)


def _as_json(seen: Seen) -> dict[str, Any]:
    config = seen.config
    return {
        "type": "config",
        "alias": seen.alias,
        "id": seen.id,
        "status": seen.kind.upper(),
        "version": config.get("version"),
        "revision": config.get("revision"),
        "updatedAt": config.get("updatedAt"),
        "updatedBy": config.get("updatedBy"),
        "reason": seen.reason,
        "message": seen.message,
        "inUse": seen.in_use,
        "maxInputTokens": config.get("maxInputTokens"),
        "settings": {setting.name: setting.value for setting in seen.settings if not setting.hidden},
        "secrets": [setting.name for setting in seen.settings if setting.hidden],
        "changed": sorted(seen.changed),
    }
