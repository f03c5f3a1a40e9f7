"""A planted leak of each kind is caught, an honest pipeline is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from include.errors import LeakError
from include.ingest.ingest import ingest_upload
from include.lake import bars as lake_bars
from include.lake.identity import SymbolChanges
from include.scoring import shard
from include.scoring.score import score_session
from include.scoring.sentinel import check_future
from tests.conftest import TrainedHome
from tests.include.conftest import Own

LAST = date(2024, 3, 26)


@pytest.fixture
def lived(own: Own, trained_home: TrainedHome) -> Own:
    """Three sessions have arrived, the first was forecast before the others came."""
    score_session(own.settings, LAST)
    for number in range(1, 4):
        ingest_upload(own.settings, trained_home.uploads[LAST + timedelta(days=number)])
    return own


def test_an_honest_pipeline_forecasts_the_same_whatever_came(lived: Own) -> None:
    for number in range(4):
        found = check_future(lived.settings, LAST + timedelta(days=number))
        assert found is not None
        assert found.session < LAST + timedelta(days=number)
        assert found.forecasts == 128
    assert not list(lived.settings.scratch.glob("sentinel-*"))


def test_a_universe_of_few_sessions_leaves_volatility_its_own(lived: Own) -> None:
    settings = lived.settings.model_copy(update={"universe_sessions": 2})
    found = check_future(settings, LAST + timedelta(days=3))
    assert found is not None
    assert found.forecasts == 128


def test_a_reader_that_takes_one_session_too_many_is_caught(lived: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = lake_bars.sessions_up_to

    def leaky(bars: Any, as_of: date, *, count: int | None = None) -> list[date]:
        later = [day for day in lake_bars.session_values(bars).to_pylist() if day > as_of]
        return [*honest(bars, as_of, count=count), *later[:1]][-(count or 10**6) :]

    monkeypatch.setattr(shard, "sessions_up_to", leaky)
    with pytest.raises(LeakError, match="leak sentinel: what came later .* symbol sim"):
        check_future(lived.settings, LAST + timedelta(days=3))


def test_a_reader_of_the_newest_version_is_caught(lived: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = lake_bars.open_bars
    monkeypatch.setattr(shard, "open_bars", lambda lake, version: honest(lake))
    with pytest.raises(LeakError, match="leak sentinel"):
        check_future(lived.settings, LAST + timedelta(days=3))


def test_symbol_changes_that_lie_ahead_are_caught(lived: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SymbolChanges, "known_at", lambda self, as_of: self)
    honest = shard.read_cube

    def leaky(bars: Any, sessions: Sequence[date], *, changes: SymbolChanges, **wanted: Any) -> Any:
        moved = SymbolChanges(
            tuple(line.__class__(**{**vars(line), "session": sessions[-3]}) for line in changes.lines)
        )
        return honest(bars, sessions, changes=moved, **wanted)

    monkeypatch.setattr(shard, "read_cube", leaky)
    with pytest.raises(LeakError, match="leak sentinel"):
        check_future(lived.settings, LAST + timedelta(days=3))


def test_the_first_session_has_nothing_before_it(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lake_bars.session_values(lake_bars.open_bars(own.settings.lake))[0].as_py()
    assert check_future(own.settings, first) is None
