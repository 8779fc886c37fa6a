"""Writes the pages of docs/ that are made from the code: the settings, and the schema.

python docs/references.py            # write them
python docs/references.py --check    # exit with 1 and their names when they are not as the code has them
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_introspection_type,
    is_specified_scalar_type,
    print_ast,
)

from modelwire.server.settings_loading import Setting, settings_table

DOCS = Path(__file__).parent
SCHEMA = DOCS.parent / "schema.graphql"
NOTE = "<!-- Written by docs/references.py: change the code, then run `make docs`. -->\n"


def settings_page() -> str:
    """docs/settings.md: the table of settings."""
    rows = [_setting(setting) for setting in settings_table()]
    return f"""# Settings
{NOTE}
`modelwire serve`, and the commands that work on the database, read their settings from four places. What comes later
wins:

1. environment variables, `MODELWIRE_…`;
2. files in the folder that `MODELWIRE_SECRETS_DIR` names, called like the variables in small or large letters, as
   container engines, Kubernetes and systemd hand out secrets;
3. `modelwire.toml` in the working folder, or the file that `--config` names: the names of the table in small letters
   without `MODELWIRE_`, as in `port = 8400`;
4. options of `modelwire serve`: `--port 8400`. Secrets have none, because process lists would show them.

Unknown names in the file and among the options are errors; unknown variables and files are warned about. An empty
variable is not set. Lists are separated by commas. `modelwire serve --help` shows the same table.

| variable | type | default | |
| --- | --- | --- | --- |
{"".join(rows)}
The command line and components read four of their own: `MODELWIRE_URL` and `MODELWIRE_TOKEN`, and components
`MODELWIRE_COMPONENT` and `MODELWIRE_CACHE` ([components.md](components.md)).
"""


def _setting(setting: Setting) -> str:
    kind = setting.type.replace("|", r" \| ") + (f", {setting.unit}" if setting.unit else "")
    default = f"`{setting.default}`" if setting.default else ""
    return f"| `{setting.variable}` | {kind} | {default} | {_cell(setting.help)} |\n"


def _cell(text: str | None) -> str:
    """A description as the cell of a table."""
    return re.sub(r"\s+", " ", text or "").strip().replace("|", r"\|").replace("<", "&lt;")


def page_of(type_: GraphQLNamedType) -> str:
    """The page of docs/schema/ that a type is on."""
    if type_.name in {"Query", "Mutation", "Subscription"}:
        return "operations.md"
    if isinstance(type_, GraphQLInputObjectType):
        return "inputs.md"
    if isinstance(type_, GraphQLScalarType | GraphQLEnumType):
        return "values.md"
    return "types.md"


class SchemaPages:
    """The pages of docs/schema/, from schema.graphql."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._types = [
            type_
            for name, type_ in sorted(schema.type_map.items())
            if not is_introspection_type(type_) and not (is_specified_scalar_type(type_))
        ]
        self._page = ""

    def operations(self) -> str:
        head = "# Queries, mutations and subscriptions"
        order = ("Query", "Mutation", "Subscription")
        roots = {type_.name: type_ for type_ in self._types if type_.name in order}
        return self._render("operations.md", head, [roots[name] for name in order])

    def types(self) -> str:
        return self._render("types.md", "# Types, interfaces and unions", self._on("types.md"))

    def inputs(self) -> str:
        return self._render("inputs.md", "# Inputs", self._on("inputs.md"))

    def values(self) -> str:
        return self._render("values.md", "# Scalars and enums", self._on("values.md"))

    def _on(self, page: str) -> list[GraphQLNamedType]:
        return [type_ for type_ in self._types if page_of(type_) == page]

    def _render(self, page: str, head: str, types: Iterable[GraphQLNamedType]) -> str:
        self._page = page
        return f"{head}\n{NOTE}\n" + "\n".join(self._type(type_) for type_ in types)

    def _type(self, type_: GraphQLNamedType) -> str:
        text = f"## {type_.name}\n\n{(type_.description or '').strip()}\n"
        if isinstance(type_, GraphQLUnionType):
            return text + f"\nOne of {', '.join(self._link(member) for member in type_.types)}.\n"
        if isinstance(type_, GraphQLEnumType):
            rows = [f"| `{name}` | {_cell(value.description)} |\n" for name, value in type_.values.items()]
            return text + "\n| value | |\n| --- | --- |\n" + "".join(rows)
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            if type_.interfaces:
                text += f"\nImplements {', '.join(self._link(interface) for interface in type_.interfaces)}.\n"
            return text + self._fields(type_.fields)
        if isinstance(type_, GraphQLInputObjectType):
            if type_.is_one_of:
                text += "\nExactly one of these is given (`@oneOf`).\n"
            return text + self._inputs(type_.fields)
        return text

    def _fields(self, fields: dict[str, GraphQLField]) -> str:
        rows = []
        for name, field in fields.items():
            arguments = "".join(f"<br>`{key}`: {self._argument(value)}" for key, value in field.args.items())
            rows.append(f"| `{name}` | {self._reference(field)} | {_cell(field.description)}{arguments} |\n")
        return "\n| field | type | |\n| --- | --- | --- |\n" + "".join(rows)

    def _argument(self, argument: GraphQLArgument) -> str:
        default = self._default(argument)
        return f"{self._reference(argument)}{f' = `{default}`' if default else ''}. {_cell(argument.description)}"

    def _inputs(self, fields: dict[str, GraphQLInputField]) -> str:
        rows = []
        for name, field in fields.items():
            default = self._default(field)
            rows.append(
                f"| `{name}` | {self._reference(field)} | {f'`{default}`' if default else ''} "
                f"| {_cell(field.description)} |\n"
            )
        return "\n| field | type | default | |\n| --- | --- | --- | --- |\n" + "".join(rows)

    @staticmethod
    def _default(given: GraphQLArgument | GraphQLInputField) -> str:
        return (
            ""
            if given.ast_node is None or given.ast_node.default_value is None
            else print_ast(given.ast_node.default_value)
        )

    def _reference(self, given: GraphQLField | GraphQLArgument | GraphQLInputField) -> str:
        """The type of a field, with a link to where it is explained."""
        named = get_named_type(given.type)
        before, after = str(given.type).split(named.name)
        return before.replace("[", r"\[") + self._link(named) + after.replace("]", r"\]")

    def _link(self, type_: GraphQLNamedType) -> str:
        if is_specified_scalar_type(type_):
            return type_.name
        page = page_of(type_)
        return f"[{type_.name}]({'' if page == self._page else page}#{type_.name.lower()})"


def schema_index() -> str:
    return f"""# The schema
{NOTE}
[schema.graphql](../../schema.graphql) is the contract; these pages are made from it, and GraphiQL (`/graphiql` of a
server) shows the same while you type. [clients.md](../clients.md) says how to send operations,
[errors.md](../errors.md) what can go wrong.

- [operations.md](operations.md): queries, mutations and subscriptions
- [types.md](types.md): types, interfaces and unions
- [inputs.md](inputs.md): what mutations take
- [values.md](values.md): scalars and enums

```{{toctree}}
:hidden:

operations
types
inputs
values
```
"""


def pages() -> dict[Path, str]:
    """Every generated page and its text."""
    schema = SchemaPages(build_schema(SCHEMA.read_text(encoding="utf-8")))
    return {
        DOCS / "settings.md": settings_page(),
        DOCS / "schema" / "index.md": schema_index(),
        DOCS / "schema" / "operations.md": schema.operations(),
        DOCS / "schema" / "types.md": schema.types(),
        DOCS / "schema" / "inputs.md": schema.inputs(),
        DOCS / "schema" / "values.md": schema.values(),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
