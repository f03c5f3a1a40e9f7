"""`closecast lake` as a person or a script meets it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from include.commands.lake import app
from include.settings import load_settings
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

DAYS = [date(2018, 5, 31) + timedelta(days=number) for number in range(3)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two symbols, a rename of one, a file that nobody needs."""
    monkeypatch.setenv("CLOSECAST_HOME", str(tmp_path))
    load_settings.cache_clear()
    put_bars(tmp_path / "lake", bar_rows(bar_row(symbol, day) for day in DAYS for symbol in ("A", "[B]")))
    (tmp_path / "symbol_changes.csv").write_text(f"symbol,successor,session\nA,Z,{DAYS[2]}\n")
    orphan = tmp_path / "lake" / "bars" / f"session={DAYS[0]}" / "left.parquet"
    orphan.write_bytes(b"PAR1")
    os.utime(orphan, (time.time() - 2 * 86_400,) * 2)
    yield tmp_path
    load_settings.cache_clear()


def answer(*words: str) -> Any:
    done = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert (done.exit_code, done.output.count("\n")) == (0, 1)
    return json.loads(done.output)


def test_symbols_as_known_at_a_session(home: Path) -> None:
    found = answer("symbols", "--session", str(DAYS[1]))
    seen = {"first_session": str(DAYS[0]), "last_session": str(DAYS[1]), "sessions": 2, "successor": None}
    assert found == {"session": str(DAYS[1]), "symbols": [{"symbol": name} | seen for name in ("A", "[B]")]}
    assert [row["successor"] for row in answer("symbols", "--symbol", "A")["symbols"]] == ["Z"]


def test_a_dry_run_lists_and_removes_nothing(home: Path) -> None:
    orphan = next(home.glob("lake/bars/*/left.parquet"))
    planned = answer("maintain", "--dry-run")
    assert planned["removals"] == [
        {"area": "bars", "path": str(orphan), "size_bytes": 4, "why": "no version ever named it"}
    ]
    assert orphan.exists()
    done = answer("maintain")
    assert done == planned | {"dry_run": False} | {name: done[name] for name in ("as_of", "clock")}
    assert not orphan.exists()


def test_people_get_tables(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["symbols"], ["maintain", "--dry-run"]):
        assert app(words, standalone_mode=False) is None
    shown = capsys.readouterr().out
    for said in ("[B]", "became", "Z", "no version ever named it", "would remove 1 file(s)", "left.parquet"):
        assert said in shown
