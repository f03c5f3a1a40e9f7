"""Where incidents are kept: a small database of its own, so that Airflow's may be what died.

SQLite in the home's folder by default, Postgres by `CLOSECAST_ALERTS_URL`. Tables are made at first use. A write is one
short transaction, and writes of one key follow each other: SQLite takes its lock at BEGIN and not at the first write
(where a second writer would fail at once instead of waiting), Postgres an advisory lock of the key.
Times are seconds since 1970 UTC.
"""

from __future__ import annotations

import random
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from include.alerts.damage import is_damage, set_aside
from include.errors import InputError, UnavailableError
from include.settings import Settings

BUSY_TIMEOUT_S = 10.0
"""How long a write waits for another; who has less time than that has it done in a thread."""

_SCHEMA_LOCK = 0x0C105ECA
"""Any number that no other program locks in the same Postgres."""

metadata = sa.MetaData()

EPISODES = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("severity", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),  # open, recovered, notice
    sa.Column("said", sa.JSON, nullable=False),  # summary, cause, affected, links, as `include.alerts.episodes` writes
    sa.Column("parts", sa.JSON, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("opened_at", sa.Double, nullable=False),
    sa.Column("last_at", sa.Double, nullable=False),
    sa.Column("recovered_at", sa.Double),
    sa.Column("note", sa.String),
    sa.Column("told_at", sa.Double),
    sa.Column("acked_by", sa.String),
    sa.Column("channel", sa.String),  # of the message that a bot can edit
    sa.Column("ts", sa.String),
    sa.Index("incidents_open", "key", unique=True, sqlite_where=sa.text("status = 'open'"),
             postgresql_where=sa.text("status = 'open'")),
    sa.Index("incidents_by_key", "key", "last_at"),
)  # fmt: skip

OUTBOX = sa.Table(
    "outbox",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("incident", sa.ForeignKey("incidents.id"), nullable=False),
    sa.Column("what", sa.String, nullable=False),  # opened, more, again, recovered, notice
    sa.Column("state", sa.String, nullable=False),  # waiting, sent, void, refused
    sa.Column("not_before", sa.Double, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("sent_at", sa.Double),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("last_error", sa.String),
    sa.Index("outbox_state", "state", "seq"),
    sa.Index("outbox_incident", "incident"),
)

TARGETS = sa.Table(
    "targets",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("fingerprint", sa.String, nullable=False),  # of the secret: another one is tried at once
    sa.Column("failures", sa.Integer, nullable=False, default=0),
    sa.Column("blocked_until", sa.Double, nullable=False, default=0.0),
    sa.Column("fault", sa.String),  # what only a person can mend
    sa.Column("last_error", sa.String),
    sa.Column("since", sa.Double),
)

MUTES = sa.Table(
    "mutes",
    metadata,
    sa.Column("key", sa.String, primary_key=True),  # a key, a kind, or * for all
    sa.Column("until", sa.Double, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("why", sa.String, nullable=False),
)

LEASES = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("holder", sa.String, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
    sa.Column("resident_until", sa.Double, nullable=False, default=0.0),  # a process that drains every few seconds
)


def store_file(settings: Settings) -> Path:
    """Return where incidents are kept by default."""
    return settings.alerts / "alerts.db"


def store_url(settings: Settings) -> str:
    """Return the database's address, a secret where it holds a password."""
    if settings.alerts_url is not None:
        return settings.alerts_url.get_secret_value()
    return f"sqlite:///{store_file(settings)}"


@contextmanager
def open_store(settings: Settings, key: str | None = None) -> Iterator[Connection]:
    """Open one transaction; writers of one key wait for each other (SQLite: all writers).

    Raises
    ------
    InputError
        The address is none of a database.
    UnavailableError
        The database does not answer, is locked for long, or its disk is full.
    """
    try:
        engine = _engine(store_url(settings))
        with engine.begin() as connection:
            if key is not None and engine.dialect.name == "postgresql":
                connection.execute(
                    sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK, zlib.crc32(key.encode()) >> 1))
                )
            yield connection
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        _engine.cache_clear()  # the tables may be gone with their file: the next one makes them again
        place = "CLOSECAST_ALERTS_URL" if settings.alerts_url else str(store_file(settings))
        said = getattr(error, "orig", None) or error
        if is_damage(said) and settings.alerts_url is None:
            set_aside(store_file(settings))
        words = f"{type(said).__name__}: {str(said).partition(chr(10))[0]}"
        raise UnavailableError("the database of incidents must answer", value=words, place=place) from error


@lru_cache(maxsize=8)
def _engine(url: str) -> Engine:
    """Make the engine, and the tables where they are not there; no connection outlives its transaction: tasks fork."""
    try:
        address = sa.make_url(url)
        is_sqlite = address.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"timeout": BUSY_TIMEOUT_S} if is_sqlite else {"connect_timeout": 2}
        engine = sa.create_engine(address, poolclass=sa.NullPool, connect_args=options)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        rule = "the database of incidents must be sqlite:///FILE or postgresql+psycopg://..., with its driver installed"
        raise InputError(rule, value=type(error).__name__, place="CLOSECAST_ALERTS_URL") from error
    if is_sqlite:
        if address.database:
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    _create_tables(engine)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by our own BEGIN IMMEDIATE
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # what is told of must have reached the disk
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    """Take the lock; SQLite's own wait sleeps longer at each try, so that under load the oldest would wait for ever."""
    own = connection.connection.dbapi_connection
    assert own is not None
    ends = time.monotonic() + BUSY_TIMEOUT_S
    own.execute("PRAGMA busy_timeout=0")
    while True:
        try:
            own.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > ends:
                raise
        time.sleep(random.uniform(0.001, 0.006))  # noqa: S311


def _create_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # two at once would meet in its catalogue
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
        for table in metadata.sorted_tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            for index in sorted(table.indexes, key=lambda each: str(each.name)):
                connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))
