"""The settings of how browsers and components reach the server: directly, or through a proxy in front of it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from .setting_values import address_or_network, listed, origin, public_url


class WebSettings(BaseSettings):
    """Under which address the server is known, and whose word it takes about where a request came from."""

    public_url: str = Field(
        "",
        description="The address by which browsers reach the server through a proxy, with the path in front if there "
        "is one, such as https://example.com/modelwire; the proxy takes that path off. Pages of it may use the API.",
    )
    trusted_proxies: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="The addresses or networks (10.0.0.0/8) of the proxies in front, comma-separated: what these, and "
        "nobody else, say in X-Forwarded-For and X-Forwarded-Proto is believed.",
    )
    allowed_origins: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="Web pages of these origins (https://host:port, comma-separated) may use the API besides its own.",
    )

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, url: str) -> str:
        return public_url(url)

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _proxies(cls, value: object) -> object:
        return listed(value, address_or_network)

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        return listed(value, origin)

    @property
    def page_origins(self) -> frozenset[str]:
        """The origins of the pages that may use the API, besides those of the address that a request came to."""
        parts = urlsplit(self.public_url)
        return self.allowed_origins | ({f"{parts.scheme}://{parts.netloc}"} if self.public_url else set())

    @property
    def public_path(self) -> str:
        """The path that the proxy takes off, without a slash at its end; empty when there is none."""
        return urlsplit(self.public_url).path
