"""The command line. Everything heavy is imported by the command that needs it."""

from __future__ import annotations


def main() -> None:
    """The entry point of `modelwire`."""
    from .app import run

    run()


__all__ = ["main"]
