"""What PostgreSQL's errors mean, and what its driver is told."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import make_url

from modelwire.store import DatabaseOptions, StoreCorrupt, StoreError, StoreUnavailable
from modelwire.store.postgresql import connect_arguments, translate


@pytest.mark.parametrize(
    ("state", "kind", "advice"),
    [
        ("08006", StoreUnavailable, "check that PostgreSQL runs"),
        ("57P01", StoreUnavailable, "try again"),
        ("57P03", StoreUnavailable, "starting or stopping"),
        ("57014", StoreUnavailable, "statement timeout"),
        ("25P03", StoreUnavailable, "stood still"),
        ("28P01", StoreUnavailable, "MODELWIRE_DATABASE_URL"),
        ("3D000", StoreUnavailable, "create it"),
        ("42501", StoreUnavailable, "must own the tables"),
        ("25006", StoreUnavailable, "primary"),
        ("53100", StoreUnavailable, "free some space"),
        ("53300", StoreUnavailable, "max_connections"),
        ("53200", StoreUnavailable, "out of resources"),
        ("40001", StoreUnavailable, "try again"),
        ("40P01", StoreUnavailable, "try again"),
        ("55P03", StoreUnavailable, "locked"),
        ("58030", StoreUnavailable, "log of PostgreSQL"),
        ("XX001", StoreCorrupt, "restore a backup"),
        ("XX002", StoreCorrupt, "restore a backup"),
        ("23505", StoreError, "23505"),
    ],
)
def test_errors_say_what_to_do(state: str, kind: type[StoreError], advice: str) -> None:
    translated = translate(psycopg.errors.lookup(state)("canary"), "the database x")
    assert type(translated) is kind
    assert advice in str(translated)
    assert str(translated).startswith("the database x ")
    # What PostgreSQL says may quote the row.
    assert "canary" not in str(translated)


def test_a_connection_that_fails_is_told_with_its_reason() -> None:
    error = psycopg.OperationalError("connection failed: connection to server at host failed: Connection refused\n\tIs")
    translated = translate(error, "the database x")
    assert type(translated) is StoreUnavailable
    assert str(translated).endswith("(Connection refused Is)")


def test_text_that_postgresql_cannot_hold_is_no_outage() -> None:
    error = psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    assert type(translate(error, "the database x")) is StoreError


def test_what_the_url_says_is_left_as_it_is() -> None:
    options = DatabaseOptions(connect_timeout_seconds=3.2, statement_timeout_seconds=7.0)
    plain = connect_arguments(make_url("postgresql://u@h/d"), options)
    assert (plain["connect_timeout"], plain["tcp_user_timeout"]) == (3, 10_200)
    given = make_url("postgresql://u@h/d?connect_timeout=9&application_name=mine")
    assert not {"connect_timeout", "application_name"} & set(connect_arguments(given, options))
