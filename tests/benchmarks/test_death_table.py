"""What was told is counted under the death it is of: late words, other DAGs' words and ends among them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.death_scenes import SCENES, Played
from benchmarks.death_table import (
    build_lane_rows,
    build_scene_rows,
    build_stock_rows,
    count_strays,
    draw_task_lines,
    write_document,
)
from benchmarks.death_trials import Died, Trial
from benchmarks.told import Told, list_lines
from tests.fakes import Call

TRIALS = [
    Trial("exception", "market_close", "exception", "score"),
    Trial("SIGKILL", "market_close", "SIGKILL", "score"),
]
LANE = [Died(TRIALS[0], "run-1", 100.0, 110.0, "failed"), Died(TRIALS[1], "run-2", 200.0, 210.0, "failed")]


def say(at: float, key: str = "run_failed/market_close", *, is_over: bool = False) -> Told:
    return Told(at, "0123456789", key, is_over, "")


def test_a_death_has_what_was_told_until_the_next_one() -> None:
    told = [say(113.0), say(120.0, is_over=True), say(199.0), say(214.0), say(9000.0, is_over=True)]
    first, second = build_lane_rows(LANE, told)
    assert (first.told, first.ended, first.seconds) == (2, 1, 3.0)
    assert (second.told, second.ended, second.seconds) == (1, 1, 4.0)


def test_a_death_nobody_was_told_of_has_no_seconds() -> None:
    first, _second = build_lane_rows(LANE, [say(120.0, "run_failed/predict_on_demand")])
    assert (first.told, first.ended, first.seconds) == (0, 0, None)


def test_words_of_no_lane_are_strays_while_tasks_die() -> None:
    told = [say(113.0), say(120.0, "scheduler_down/scheduler"), say(301.0, "disk_full/home")]
    assert count_strays([LANE], told, until=300.0) == 1


def test_a_scene_has_every_word_until_the_next_one() -> None:
    played = [Played(SCENES[0], 100.0, "success"), Played(SCENES[1], 200.0, "success")]
    told = [say(105.0, "scheduler_down/scheduler"), say(106.0), say(110.0, is_over=True), say(205.0)]
    first, second = build_scene_rows(played, told)
    assert (first.told, first.ended, first.seconds) == (2, 1, 5.0)
    assert (second.told, second.ended) == (1, 0)


def test_stock_is_counted_by_the_run_it_names() -> None:
    calls = [Call(111.0, "webhook", {"text": "stock run-1 work failed"}, 200) for _ in range(2)]
    rows = build_stock_rows(LANE, calls)
    assert [(row.told, row.seconds) for row in rows] == [(2, 1.0), (0, None)]


def test_the_table_gives_a_count_that_all_places_share_or_each() -> None:
    rows = build_lane_rows(LANE, [say(113.0), say(114.0), say(213.0)])
    lines = draw_task_lines([*rows, *build_lane_rows(LANE, [])], rows)
    assert lines[0] == ["exception", "score, score", "2, 0", "3 s", "0", "2"]


def test_a_digest_is_read_line_by_line() -> None:
    section = {"type": "section", "text": {"text": "10:00  one [0123456789]\n10:01  two [9876543210]"}}
    body = {"text": "4 messages from a to b: one [0123456789]", "blocks": [{"type": "header"}, section]}
    assert list_lines(body) == ["10:00  one [0123456789]", "10:01  two [9876543210]"]
    assert list_lines({"text": "one [0123456789]"}) == ["one [0123456789]"]


def test_the_document_gets_the_table_between_its_marks(tmp_path: Path) -> None:
    document = tmp_path / "deaths.md"
    document.write_text("before\n<!-- deaths:begin -->\nold\n<!-- deaths:end -->\nafter\n")
    write_document(document, [["exception", "score", "1", "3 s", "1", "1"]])
    head, *rows, tail = document.read_text().splitlines()
    assert (head, tail) == ("before", "after")
    assert rows[1].startswith("| death |")
    assert rows[3] == "| exception | score | 1 | 3 s | 1 | 1 |"
