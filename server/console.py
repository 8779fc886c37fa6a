"""The web pages, from our own build of `console/`: the console at `/`, GraphiQL at `/graphiql`.

They load nothing from any other host.
"""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

PAGES = {"/": "index.html", "/graphiql": "graphiql.html"}

HEADERS = {
    # Both pages set styles through the DOM alone, so styles need no 'unsafe-inline'. GraphiQL's editor draws with PNGs
    # that its stylesheet carries as data: addresses. connect-src 'self' allows websockets to this origin too.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

NOT_BUILT = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Console not built · Modelwire</title></head>
<body>
  <h1>Console not built</h1>
  <p>This installation of Modelwire was made without its web pages, the console and GraphiQL: Node was missing.</p>
  <p>In a checkout, install Node 20.19 or newer and run <code>make console</code>. Otherwise install a released wheel,
  or build one where Node is. Then start the server again.</p>
  <p>The API itself does not need them: it answers at <code>graphql</code> beside this page.</p>
</body>
</html>
"""


def console_routes(folder: Path | None = None, *, no_auth: bool = False) -> list[BaseRoute]:
    """The routes of the pages and of the files that they load. Static: no credential is needed to read them.

    `folder` holds the built console; None means the one of this installation. When it is not built, the pages say so.
    `no_auth` has them ask nobody for a key, as the server does not either.
    """
    folder = folder or built_console()
    if folder is None:
        return [Route(path, _not_built, methods=["GET"]) for path in PAGES]
    pages = [_page(path, folder / name, no_auth=no_auth) for path, name in PAGES.items()]
    return [*pages, Mount("/assets", _Assets(directory=folder / "assets"))]


def built_console() -> Path | None:
    """The folder of the built console: in the installed package, or of the checkout. None when it is not built."""
    installed = Path(__file__).parents[1] / "console"
    checkout = Path(__file__).resolve().parents[1] / "console" / "dist"
    return next((folder for folder in (installed, checkout) if _is_built(folder)), None)


def _is_built(folder: Path) -> bool:
    return all((folder / name).is_file() for name in PAGES.values())


def _page(path: str, file: Path, *, no_auth: bool) -> Route:
    def page(_request: Request) -> Response:
        content = file.read_text(encoding="utf-8")
        if no_auth:
            content = content.replace("<html ", "<html data-no-auth ", 1)
        return HTMLResponse(content, headers={**HEADERS, "Cache-Control": "no-cache"})

    return Route(path, page, methods=["GET"])


class _Assets(StaticFiles):
    """Files with a hash of their content in their names: what was loaded once never changes."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update({**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"})
        return response


async def _not_built(_request: Request) -> Response:
    return HTMLResponse(NOT_BUILT, status_code=503, headers={**HEADERS, "Cache-Control": "no-store"})
