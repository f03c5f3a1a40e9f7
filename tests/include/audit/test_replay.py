"""A run comes out again to the bit, whatever has happened since; what cannot, says why."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from include.audit.choose import choose_run, choose_runs
from include.audit.recall import recall_plan
from include.audit.replay import Outcome, Replay, replay_run, replay_runs
from include.errors import InputError, NotFoundError
from include.ingest.ingest import ingest_upload
from include.lake.bars import open_bars
from include.lake.files import choose_sessions
from include.lake.maintain import maintain_lake
from include.lake.predictions import read_newest_run
from include.lake.runs import find_run, list_runs
from include.lake.tables import QUARANTINE
from include.registry.artifact import cached_graph
from include.registry.promote import promote_version
from include.scoring.score import predict_symbols, score_session
from tests.include.audit.conftest import LAST, SCORED, SYMBOL, Scored, rewrite
from tests.include.lake.commits import put_quarantine, put_rows
from tests.include.lake.rows import MOMENT


def replay_all(scored: Scored, **changed: object) -> list[Replay]:
    settings = scored.settings.model_copy(update=changed)
    return replay_runs(settings, list_runs(settings.lake, first=SCORED[0], last=SCORED[-1]))


def require_identical(replays: list[Replay]) -> None:
    assert [each.outcome for each in replays] == [Outcome.IDENTICAL] * len(SCORED)
    assert all(each.rows == each.identical > 100 and not each.is_fault for each in replays)


def test_runs_come_out_again_to_the_bit(scored: Scored) -> None:
    require_identical(replay_all(scored))


def test_a_correction_a_compaction_another_version_and_other_settings_change_nothing(scored: Scored) -> None:
    settings = scored.settings
    lines = scored.uploads[LAST + timedelta(days=1)].read_text().splitlines()
    corrected = settings.home / "corrected.csv"
    rows = [line.replace("2024-03-27", "2024-03-25") for line in lines]
    corrected.write_text("\n".join(rows) + "\n")
    assert ingest_upload(settings, corrected).restated > 50
    assert maintain_lake(settings).compactions
    promote_version(settings, 1, who="bob", why="another")
    before = score_session(settings, SCORED[0])
    runs = choose_runs(settings, first=SCORED[0], last=LAST)
    assert before.model_version == 1
    assert before.bars_version > runs[0].bars_version
    found = replay_runs(settings.model_copy(update={"universe_sessions": 5, "threads": 1, "shards": 7}), runs)
    assert [each.outcome for each in found] == [Outcome.IDENTICAL] * 4


def test_a_row_that_was_released_later_is_refused_in_the_replay(scored: Scored) -> None:
    settings = scored.settings
    absent = ("missing", "stale", "delisted")
    rows = read_newest_run(settings.lake, LAST).to_pylist()
    symbol = next(row["symbol"] for row in rows if row["status"] in absent)
    put_quarantine(settings.lake, refuse_row(symbol))
    score_session(settings, LAST)
    run = list_runs(settings.lake)[-1]
    assert run is not None
    assert read_status(scored, symbol) == "quarantined"
    put_rows(settings.lake, QUARANTINE, refuse_row(symbol, resolved_by="b" * 64), replacing=True)
    assert replay_run(settings, run).outcome is Outcome.IDENTICAL
    # A run from before its version of quarantine was written down goes by the moment.
    assert recall_plan(settings, replace(run, quarantine_version=None)).quarantine_version == run.quarantine_version
    score_session(settings, LAST)
    assert read_status(scored, symbol) in absent


def refuse_row(symbol: str, **changed: object) -> pa.Table:
    row = {"upload_sha256": "a" * 64, "row_number": 1, "symbol": symbol, "session": LAST, "expectation": "order"}
    said = {"reason": "as a test wants", "raw": "{}", "quarantined_at": MOMENT, "resolved_by": None}
    return pa.Table.from_pylist([row | said | changed], QUARANTINE.schema)


def read_status(scored: Scored, symbol: str) -> str:
    rows = read_newest_run(scored.settings.lake, LAST).to_pylist()
    return next(row["status"] for row in rows if row["symbol"] == symbol)


def test_one_symbol_of_several_shards_comes_out_alone(scored: Scored) -> None:
    found = replay_run(scored.settings, choose_run(scored.settings, as_of=LAST), symbol=SYMBOL)
    assert (found.outcome, found.rows, found.identical) == (Outcome.IDENTICAL, 2, 2)
    nobody = replay_run(scored.settings, choose_run(scored.settings, as_of=LAST), symbol="nobody")
    assert (nobody.outcome, nobody.why) == (Outcome.IMPOSSIBLE, "it does not speak of nobody")


def test_a_run_that_was_asked_for_at_will_comes_out_again(scored: Scored) -> None:
    report = predict_symbols(scored.settings, LAST, symbols=[SYMBOL, "sim05"], version=1)
    found = replay_run(scored.settings, find_run(scored.settings.lake, report.run_id))
    assert (found.outcome, found.rows) == (Outcome.IDENTICAL, 4)


def test_a_bar_that_was_changed_in_its_place_makes_the_replay_differ(scored: Scored) -> None:
    settings = scored.settings
    run = choose_run(settings, as_of=LAST)
    ((_, path),) = choose_sessions(open_bars(settings.lake, version=run.bars_version), [LAST])
    rewrite(path, lambda row: row | {"open": row["open"] * 1.01} if row["symbol"] == SYMBOL else row)
    found = replay_run(settings, run)
    assert (found.outcome, found.is_fault) == (Outcome.DIFFERS, True)
    assert {each.symbol for each in found.differences} == {SYMBOL}
    assert found.identical == found.rows - 2


def test_what_is_gone_is_said(scored: Scored) -> None:
    settings = scored.settings
    run = choose_run(settings, as_of=LAST)
    ((_, path),) = choose_sessions(open_bars(settings.lake, version=run.bars_version), [SCORED[0]])
    path.unlink()
    found = replay_run(settings, run)
    assert (found.outcome, found.is_fault) == (Outcome.IMPOSSIBLE, False)
    assert "audit_window_days" in found.summary()


def test_a_graph_that_is_gone_is_said(scored: Scored, tmp_path: Path) -> None:
    run = choose_run(scored.settings, as_of=LAST)
    cached = cached_graph(scored.settings, recall_plan(scored.settings, run).model)
    assert cached.is_file()
    shutil.rmtree(scored.settings.model_cache)
    away = scored.settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path}/none.db"})
    found = replay_run(away, run)
    assert found.outcome is Outcome.IMPOSSIBLE
    assert found.why


def test_other_code_is_said_and_its_bits_are_no_fault(scored: Scored) -> None:
    run = choose_run(scored.settings, as_of=LAST)
    found = replay_run(scored.settings, replace(run, code_version="v9", environment_hash="other"))
    assert found.outcome is Outcome.IDENTICAL
    assert "code was v9" in found.summary()
    assert "the locked requirements are others" in found.summary()
    rounded = replace(found, outcome=Outcome.CLOSE)
    assert not rounded.is_fault
    assert replace(rounded, is_same_code=True, is_same_environment=True).is_fault


def test_which_runs_are_meant(scored: Scored) -> None:
    settings = scored.settings
    newest = choose_run(settings)
    assert newest.as_of == LAST
    assert choose_runs(settings) == [newest]
    assert [run.as_of for run in choose_runs(settings, first=SCORED[1])] == [SCORED[1]]
    assert choose_run(settings, run_id=newest.run_id) == newest
    with pytest.raises(InputError, match="of one run, or of a period"):
        choose_runs(settings, run_id=newest.run_id, first=LAST)
    with pytest.raises(NotFoundError, match="must have been scored"):
        choose_runs(settings, first=LAST + timedelta(days=30))
    with pytest.raises(NotFoundError, match="a run must be there, and of this session"):
        choose_run(settings, run_id=newest.run_id, as_of=SCORED[0])
