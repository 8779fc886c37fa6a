"""`modelwire audit`: the commands and their arguments."""

from __future__ import annotations

from typing import Annotated

import typer

from .errors import server_extra
from .options import ConfigFile, OutputForm, ServerUrl, Token
from .output import Output

audit_app = typer.Typer(
    help="The audit log: who did what, and who was denied.", no_args_is_help=True, rich_markup_mode=None
)


@audit_app.command("log")
def audit_log(
    first: Annotated[int, typer.Option("--first", min=1, help="How many entries to show.")] = 50,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Show the newest entries of the audit log.

    Needs a key with the scope audit:read.

    \b
    modelwire audit log
    Who was denied lately:
      modelwire audit log --first 1000 --output json \\
        | jq '.entries[] | select(.action == "access.denied")'

    \b
    JSON: {"entries": [{"sequence": 7, "at": "…", "actor": "…",
           "action": "model_config.update", "details": {…}, "hash": "…"}, …],
           "more": false}
    """
    from .audit_command import show_audit_log

    show_audit_log(first=first, url=url, token=token, output=output)


@audit_app.command("verify")
def audit_verify(
    head: Annotated[
        str | None, typer.Option("--head", metavar="HASH", help="A head that an earlier run printed and you kept.")
    ] = None,
    config: ConfigFile = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Check the audit log in the database itself.

    Ends with 1, and shows the rows that were changed, removed or inserted, if any were. Prints the head, the hash of
    the last row. With --head it also finds that the end was cut off after it was printed, or that the whole log was
    written anew.

    \b
    modelwire audit verify
    modelwire audit verify --head "$(cat audit-head)"
    Keep the head for the next time:
      modelwire audit verify --output json | jq -r .head > audit-head

    \b
    JSON: {"rows": 17, "head": "…", "problems": []}
    """
    with server_extra("audit verify"):
        from .audit_verify_command import verify_audit
    raise typer.Exit(verify_audit(config, head=head, output=output))
