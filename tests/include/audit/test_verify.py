"""What somebody changes behind the system's back is found and named: run, symbol, column."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from include.audit.choose import choose_run
from include.audit.findings import Finding
from include.audit.recall import describe_model
from include.audit.verify import verify_home
from include.lake.bars import open_bars
from include.lake.chain import hash_row
from include.lake.files import choose_sessions
from include.lake.runs import Run
from include.lake.tables import OUTCOMES, PREDICTIONS, PROMOTIONS, SCORING_RUNS
from include.registry.artifact import cached_graph
from include.scoring.publish import publish_session
from tests.include.audit.conftest import LAST, SCORED, SYMBOL, Scored, rewrite


def find(scored: Scored, area: str) -> list[Finding]:
    """Verify; whatever is found must be of one area."""
    found = verify_home(scored.settings).findings
    assert {finding.area for finding in found} == {area}
    return found


def find_files(scored: Scored, table: str, folder: str = "*") -> list[Path]:
    return sorted(path for path in (scored.settings.lake / table).glob(f"{folder}/*.parquet"))


def change_cell(row: dict, **cells: object) -> dict:
    return row | cells if row["symbol"] == SYMBOL else row


def test_a_home_that_nobody_touched_is_whole(scored: Scored) -> None:
    told = []
    found = verify_home(scored.settings, lambda done, total: told.append((done, total)))
    assert found.findings == []
    assert found.notes == []
    assert told[-1] == (3, 3)
    counts = {check.area: check.count for check in found.checks}
    assert counts["chain"] == 3
    assert counts["forecasts"] > 400
    assert counts["bars"] > 80
    assert (counts["outcomes"], counts["artifact"]) == (1, 1)
    assert counts["ledger"] >= 1


@pytest.mark.parametrize(("column", "value"), [("predicted", 1.0), ("status", "fallback"), ("lower_80", 0.5)])
def test_a_changed_forecast_is_named(scored: Scored, column: str, value: object) -> None:
    (path,) = find_files(scored, PREDICTIONS.name, f"as_of={SCORED[0]}")
    rewrite(path, lambda row: change_cell(row, **{column: value}) if row["target"] == "open" else row)
    (only,) = find(scored, "forecasts")
    run = choose_run(scored.settings, as_of=SCORED[0])
    assert (only.run_ids, only.symbol, only.column) == ((run.run_id,), SYMBOL, column)
    assert only.session == SCORED[0]
    assert f"recorded {value!r}".replace("'", "") in only.said


def test_a_forecast_that_names_another_version_is_named(scored: Scored) -> None:
    path = find_files(scored, PREDICTIONS.name, f"as_of={LAST}")[0]
    rewrite(path, lambda row: row | {"model_version": 7})
    (only,) = find(scored, "forecasts")
    assert only.column == "model_version"
    assert "is 7, of its run 2" in only.said


def test_a_forecast_that_was_taken_away_is_named(scored: Scored) -> None:
    (path,) = find_files(scored, PREDICTIONS.name, f"as_of={SCORED[1]}")
    with pq.ParquetFile(path) as file:
        rows = file.read()
    first = rows["symbol"][0].as_py()
    pq.write_table(rows.slice(1), path)
    (only,) = find(scored, "forecasts")
    assert (only.symbol, only.column) == (first, "row")


def test_a_changed_row_of_a_run_breaks_the_chain_and_its_forecasts_disagree(scored: Scored) -> None:
    path = find_files(scored, SCORING_RUNS.name, ".")[0]
    rewrite(path, lambda row: row | {"model_version": 1})
    found = verify_home(scored.settings).findings
    (chain,) = (each for each in found if each.area == "chain")
    assert "was changed after it was written" in chain.said
    (shared,) = (each for each in found if each.area == "forecasts")
    assert shared.column == "model_version"
    assert shared.run_ids == chain.run_ids != ()


def test_a_changed_hash_of_content_is_told_from_changed_forecasts(scored: Scored) -> None:
    path = find_files(scored, SCORING_RUNS.name, ".")[0]
    rewrite(path, lambda row: row | {"content_sha256": "0" * 64})
    said = {each.column: each.said for each in verify_home(scored.settings).findings}
    assert "those that a replay gives" in said["content_sha256"]


def test_a_changed_bar_is_named_with_the_runs_that_read_it(scored: Scored) -> None:
    bars = open_bars(scored.settings.lake)
    ((_, path),) = choose_sessions(bars, [SCORED[1]])
    rewrite(path, lambda row: change_cell(row, close=row["close"] * (1 + 2**-50)))
    (only,) = find(scored, "bars")
    assert (only.session, only.symbol, only.column) == (SCORED[1], SYMBOL, "close")
    readers = {choose_run(scored.settings, as_of=day).run_id for day in SCORED[1:]}
    assert set(only.run_ids) == readers
    assert "in upload" in only.said


def test_a_bar_that_no_upload_brought_is_named(scored: Scored) -> None:
    ((_, path),) = choose_sessions(open_bars(scored.settings.lake), [LAST])
    rewrite(path, lambda row: change_cell(row, symbol="sim03x"))
    (only,) = find(scored, "bars")
    assert (only.symbol, only.column) == ("sim03x", "symbol")


def test_a_changed_outcome_and_a_missing_file_are_named(scored: Scored) -> None:
    (path,) = find_files(scored, OUTCOMES.name)
    rewrite(path, lambda row: change_cell(row, actual=1.0))
    (only,) = find(scored, "outcomes")
    assert "was changed after it was written" in only.said
    path.unlink()
    (only,) = find(scored, "outcomes")
    assert "is missing" in only.said


def test_a_swapped_graph_is_named_before_it_is_mended(scored: Scored) -> None:
    run = choose_run(scored.settings, as_of=LAST)
    cached = cached_graph(scored.settings, describe_model(run))
    assert cached.is_file()
    cached.write_bytes(cached.read_bytes() + b"\0")
    (only,) = find(scored, "artifact")
    assert only.column == "onnx_sha256"
    assert "version 2 is another in the cache" in only.said
    assert len(only.run_ids) == 3


def test_a_changed_line_of_the_ledger_is_named(scored: Scored) -> None:
    path = find_files(scored, PROMOTIONS.name, ".")[-1]
    rewrite(path, lambda row: row | {"who": "mallory"})
    assert any("was changed after it was written" in finding.said for finding in find(scored, "ledger"))


def test_a_registry_that_does_not_answer_is_noted(scored: Scored) -> None:
    away = scored.settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    found = verify_home(away)
    assert found.findings == []
    assert any("could not be held against the registry" in note for note in found.notes)


def test_runs_that_cannot_be_read_are_one_finding(scored: Scored) -> None:
    find_files(scored, SCORING_RUNS.name, ".")[0].write_bytes(b"not parquet")
    (only,) = find(scored, "chain")
    assert "can't be read" in only.said


def cut_newest_run(scored: Scored) -> Run:
    """Take away the newest row of `scoring_runs`."""
    newest = choose_run(scored.settings)
    (path,) = (
        path
        for path in find_files(scored, SCORING_RUNS.name, ".")
        if newest.run_id in pq.read_table(path)["run_id"].to_pylist()
    )
    rows = pq.read_table(path)
    pq.write_table(rows.filter(pc.field("run_id") != newest.run_id), path)
    return newest


def test_a_published_run_whose_row_was_cut_off_is_found(scored: Scored, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    published = replace(scored, settings=scored.settings.model_copy(update={"publish_to": str(elsewhere)}))
    publish_session(published.settings, LAST)
    assert verify_home(published.settings).findings == []
    shutil.rmtree(scored.settings.published)
    newest = cut_newest_run(scored)
    (only,) = find(published, "published")
    assert (
        f"run {newest.sequence}, which {elsewhere / f'{LAST}.parquet'} was made from, is not in the chain" in only.said
    )


def test_a_published_run_whose_row_was_written_anew_with_a_hash_that_fits_is_found(scored: Scored) -> None:
    publish_session(scored.settings, LAST)
    newest = choose_run(scored.settings)
    for path in find_files(scored, SCORING_RUNS.name, "."):
        rewrite(path, lambda row: forge(row) if row["run_id"] == newest.run_id else row)
    found = find(scored, "published")
    assert ["another in the chain" in finding.said for finding in found] == [True]


def forge(row: dict) -> dict:
    changed = row | {"symbols": row["symbols"] + 1}
    return changed | {"hash": hash_row(changed)}


def test_published_files_of_an_earlier_release_are_noted(scored: Scored) -> None:
    _, path = publish_session(scored.settings, LAST)
    pq.write_table(pq.read_table(path).replace_schema_metadata(), path)
    found = verify_home(scored.settings)
    assert found.findings == []
    assert any("which name no run" in note for note in found.notes)


def test_a_run_that_was_never_published_and_whose_row_was_cut_off_is_noted(scored: Scored) -> None:
    newest = cut_newest_run(scored)
    found = verify_home(scored.settings)
    assert [note for note in found.notes if newest.run_id in note and "that no run names" in note]
