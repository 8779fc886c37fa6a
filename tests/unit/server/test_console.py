"""The routes of the web pages: what they serve, with which headers, and what they say when the console is not built."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

import modelwire.server.console as module
from modelwire.server.console import built_console, console_routes

ASSET = "/assets/graphiql-0123abcd.js"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<!doctype html><html lang="en">the console')
    (tmp_path / "graphiql.html").write_text('<!doctype html><html lang="en">GraphiQL')
    (tmp_path / ASSET[1:]).write_text("the code")
    (tmp_path / "secret.txt").write_text("not for the web")
    return tmp_path


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_of(Starlette(routes=console_routes(folder))) as client:
        yield client


def browser_of(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://modelwire.example")


def policy(response: httpx.Response) -> dict[str, str]:
    directives = response.headers["Content-Security-Policy"].split("; ")
    return dict(directive.split(" ", 1) for directive in directives)


@pytest.mark.parametrize(("path", "title"), [("/", "the console"), ("/graphiql", "GraphiQL")])
async def test_the_pages_are_asked_for_anew_each_time(client: httpx.AsyncClient, path: str, title: str) -> None:
    page = await client.get(path)
    assert (page.status_code, page.text) == (200, f'<!doctype html><html lang="en">{title}')
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Cache-Control"] == "no-cache"


async def test_assets_are_kept_for_ever(client: httpx.AsyncClient) -> None:
    asset = await client.get(ASSET)
    assert (asset.status_code, asset.text) == (200, "the code")
    assert asset.headers["Content-Type"].startswith("text/javascript")
    assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"


async def test_an_asset_that_is_not_there_is_not_kept(client: httpx.AsyncClient) -> None:
    asset = await client.get("/assets/graphiql-ffffffff.js")
    assert asset.status_code == 404
    assert "Cache-Control" not in asset.headers


@pytest.mark.parametrize("path", ["/assets/../secret.txt", "/assets/%2e%2e/secret.txt", "/assets/..%2fsecret.txt"])
async def test_nothing_beside_the_assets_is_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/", "/graphiql"])
async def test_the_pages_of_a_server_that_asks_for_no_key_say_so(folder: Path, path: str) -> None:
    async with browser_of(Starlette(routes=console_routes(folder, no_auth=True))) as client:
        assert (await client.get(path)).text.startswith('<!doctype html><html data-no-auth lang="en">')


@pytest.mark.parametrize("path", ["/", "/graphiql", ASSET])
async def test_nothing_can_be_sent(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.post(path)).status_code == 405


@pytest.mark.parametrize("path", ["/", "/graphiql", ASSET])
async def test_pages_may_load_and_reach_their_own_origin_alone(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    directives = policy(response)
    assert directives.pop("img-src") == "'self' data:"
    for name in ("default-src", "frame-ancestors", "base-uri", "form-action"):
        assert directives.pop(name) == "'none'"
    assert directives == dict.fromkeys(("script-src", "style-src", "font-src", "connect-src"), "'self'")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/", "/graphiql"])
async def test_a_console_that_is_not_built_is_said_to_be(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(module, "built_console", lambda: None)
    async with browser_of(Starlette(routes=console_routes())) as client:
        page = await client.get(path)
    assert page.status_code == 503
    assert page.headers["Cache-Control"] == "no-store"
    assert policy(page)["default-src"] == "'none'"
    assert "Console not built" in page.text
    assert "make console" in page.text


def test_the_console_is_found_in_the_package_before_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "__file__", str(tmp_path / "server" / "console.py"))
    installed, checkout = tmp_path / "console", tmp_path / "console" / "dist"
    checkout.mkdir(parents=True)
    assert built_console() is None
    (checkout / "graphiql.html").touch()
    assert built_console() is None
    (checkout / "index.html").touch()
    assert built_console() == checkout
    for name in ("index.html", "graphiql.html"):
        (installed / name).touch()
    assert built_console() == installed
