"""What the process imports that servers are forked from."""

from __future__ import annotations

import os

import alembic.command
import alembic.config
import psycopg
import sqlalchemy.dialects.postgresql.psycopg
import sqlalchemy.dialects.sqlite.pysqlite

from modelwire.server.logs import configure_logging
from modelwire.server.run import run_server
from modelwire.server.settings_loading import load_settings

__all__ = ["alembic", "psycopg", "serve", "sqlalchemy"]

_FORKED_FROM = os.getpid()


def serve(folder: str, port: int) -> None:
    """As `modelwire serve` does, with the settings of this process's environment."""
    assert os.getpid() != _FORKED_FROM, "nothing is imported yet: a start takes seconds"
    settings = load_settings({"data_dir": folder, "port": port})
    configure_logging(settings.log_level)
    run_server(settings)
