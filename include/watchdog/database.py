"""Whether the SQLite database of a home's Airflow can be read and written, without Airflow."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

BUSY_S = 1.0
"""A writer of Airflow's holds the database for less."""


def find_database_problem(database: Path) -> str | None:
    """Say what is wrong with a database, or None; the write lock is taken and given back at once."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=BUSY_S)) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        return str(error)
    return None
