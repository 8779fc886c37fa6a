"""The commands about single model configs, and their arguments."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .completion import complete_assignment
from .options import Alias, OutputForm, ServerUrl, Token, Wait, WaitTimeout, Yes
from .output import Output

config_app = typer.Typer(rich_markup_mode=None)


@config_app.command("list")
def list_(
    search: Annotated[
        str | None, typer.Option("--search", metavar="TEXT", help="Those with this in alias, description or model.")
    ] = None,
    provider: Annotated[str | None, typer.Option("--provider", metavar="NAME", help="Those of this provider.")] = None,
    configured: Annotated[
        bool | None, typer.Option("--configured/--placeholders", help="Those that have a model, or that have none.")
    ] = None,
    first: Annotated[int | None, typer.Option("--first", min=1, help="How many to show; all without it.")] = None,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """List the model configs. Secrets are never shown.

    \b
    modelwire list
    Those that still need a model:
      modelwire list --placeholders
    The aliases that call OpenAI, for a script:
      modelwire list --provider openai --output json \\
        | jq -r '.modelConfigs[].alias'

    \b
    JSON: {"modelConfigs": [CONFIG, …], "more": false}
      CONFIG has the fields of the API's type ModelConfig; "type" in its
      "auth" names the API's type of it.
    """
    from .list_command import list_configs

    given: dict[str, Any] = {"search": search, "provider": provider, "configured": configured}
    filter_ = {name: value for name, value in given.items() if value is not None}
    list_configs(filter_=filter_, first=first, url=url, token=token, output=output)


@config_app.command()
def get(alias: Alias, url: ServerUrl = None, token: Token = None, output: OutputForm = Output.TABLE) -> None:
    """Show a model config and which components run it. Secrets are never shown.

    The components are shown to keys with the scope component:read.

    \b
    modelwire get general
    Its version, for a script:
      modelwire get general --output json | jq .version

    \b
    JSON: {…CONFIG, "rollout": {"applied": 3, …},
           "components": [{"state": "APPLIED", …}, …]}
      CONFIG as `modelwire list` has it; both others are null to keys without
      the scope component:read.
    """
    from .list_command import show_config

    show_config(alias, url=url, token=token, output=output)


@config_app.command("set")
def set_(
    alias: Alias,
    assignments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="key=value",
            help="What shall change; nothing behind the = clears it.",
            autocompletion=complete_assignment,
        ),
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make the config when there is none with this alias.")
    ] = False,
    expected_version: Annotated[
        int | None,
        typer.Option("--expected-version", min=1, help="Ends with 3 when it is at another; without it, as it is now."),
    ] = None,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Have the server check it all, and write nothing.")
    ] = False,
    wait: Wait = False,
    timeout: WaitTimeout = 60.0,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Change a model config field by field, or make one.

    The keys are provider, model, api_base, description, max_input_tokens and alias (its new name); params.NAME for a
    parameter of the calls, whose value is JSON, or else a text; params for all of them, as a JSON object; and the
    fields of one kind of auth: api_key; oauth_token_url, oauth_client_id, oauth_client_secret, …; aws_access_key_id,
    aws_secret_access_key, aws_region_name, …; vertex_credentials, vertex_project, vertex_location; or auth=none. The
    API's spellings, such as apiBase and clientSecret, are the same.

    Values of params and auth can come from elsewhere, and secrets should: @- is standard input (a prompt at a
    terminal), @FILE a file, env:NAME a variable of this command. os.environ/NAME is stored as it is, and each component
    puts its own variable in its place.

    What is not named stays. Ends with 3, and nothing is changed, when somebody else changes the config meanwhile; with
    --wait also when it is changed and a component refused it, or has not spoken of it in time.

    \b
    modelwire set general model=openai/gpt-4o api_key=os.environ/OPENAI_API_KEY
    With a secret, from a prompt or a pipe:
      modelwire set general api_key=@-
    Parameters: set two, and take one away:
      modelwire set general params.temperature=0.2 params.stop='["\\n"]' \\
        params.top_p=
    One more config:
      modelwire set planning-big provider=anthropic model=claude-opus-4-5 \\
        api_key=env:ANTHROPIC_API_KEY --create
    Only if it is still at the version that was looked at:
      modelwire set general model=gpt-4o-mini --expected-version 7
    And until the whole fleet runs it, in a pipeline:
      modelwire set general model=gpt-4o-mini --wait --timeout 120

    \b
    JSON: {…CONFIG, "created": false, "changed": true,
           "droppedCredentials": false}
      CONFIG as `modelwire list` has it.
      With --validate-only: {"alias": "general", "valid": true}
      With --wait also "waited": "APPLIED" (or REFUSED, TIMEOUT, SUPERSEDED,
      DELETED, DENIED), "rollout" and "components" as `modelwire get` has them.
    """
    from .set_command import set_config

    raise typer.Exit(
        set_config(
            alias,
            assignments or [],
            create=create,
            expected_version=expected_version,
            validate_only=validate_only,
            wait_seconds=timeout if wait else None,
            url=url,
            token=token,
            output=output,
        )
    )


@config_app.command("test")
def try_(
    alias: Alias,
    assignments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="key=value", help="What to try in place of what is stored.", autocompletion=complete_assignment
        ),
    ] = None,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Try a model config with one real call from the server.

    The call has a system prompt and a tool, as an agent's calls do. Ends with 1 when the model does not answer, and
    says why. What is given as key=value, as `modelwire set` takes it, is tried and not stored; stored credentials go to
    no other provider or address than their own. Needs a key with the scope model_config:test.

    \b
    modelwire test general
    Before it is set:
      modelwire test general model=gpt-4o-mini
    In a script:
      modelwire test general --output json | jq .error

    \b
    JSON: {"alias": "general", "version": 3, "success": true,
           "latencySeconds": 0.8, "answer": "…", "toolCalled": true,
           "promptTokens": 71, "completionTokens": 9, "error": null}
      "error" is else {"class": "AUTHENTICATION", "message": "…"}; the API's
      enum ModelTestProblem has the classes.
    """
    from .test_command import try_config

    raise typer.Exit(try_config(alias, assignments or [], url=url, token=token, output=output))


@config_app.command()
def delete(
    alias: Alias,
    yes: Yes = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also when components use it: they are left without a model.")
    ] = False,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Delete a model config, after showing who uses it.

    Ends with 3, and nothing is done, when components that are connected use it, when it is a default alias, and when
    somebody changed it meanwhile.

    \b
    modelwire delete planning-old
    In a script, whoever uses it:
      modelwire delete planning-old --yes --force

    \b
    JSON: {"id": "…", "alias": "planning-old", "revision": "…"}
    """
    from .delete_command import delete_config

    delete_config(alias, yes=yes, force=force, url=url, token=token, output=output)


@config_app.command()
def history(
    alias: Alias,
    first: Annotated[int, typer.Option("--first", min=1, help="How many versions to show.")] = 20,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Show the versions of a model config, newest first.

    Of each version it shows when and by whom it was made, and what it changed; secrets are only said to change.

    \b
    modelwire history general
    Who made the newest version:
      modelwire history general --first 1 --output json | jq -r '.versions[0].by'

    \b
    JSON: {"id": "…", "alias": "general", "more": false, "versions": [
           {"version": 3, "changes": [{"path": ["model"], …}], …}, …]}
    """
    from .history_command import show_history

    show_history(alias, first=first, url=url, token=token, output=output)


@config_app.command()
def rollback(
    alias: Alias,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The version to go back to, of its history.")],
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Give a model config the content of an old version.

    That makes a new version. Its credentials stay if provider, kind of auth and address are the same, and are dropped
    otherwise; old ones never come back. Ends with 3, and nothing is done, when somebody changed it meanwhile.

    \b
    modelwire history general
    modelwire rollback general 2

    \b
    JSON: {"id": "…", "alias": "general", "version": 5, "revision": "…",
           "changed": true, "droppedCredentials": false}
    """
    from .rollback_command import roll_back

    roll_back(alias, version, url=url, token=token, output=output)
