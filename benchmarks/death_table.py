"""What the deaths come to: how often each was told of, by the house and by stock Airflow, as figures and as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.death_scenes import Played
from benchmarks.death_trials import Died
from benchmarks.told import Told
from tests.fakes import Call

BEGIN, END = "<!-- deaths:begin -->\n", "<!-- deaths:end -->"
HEADER = ["death", "where", "told", "after", "end told", "stock"]


@dataclass(frozen=True)
class Row:
    """One death.

    Attributes
    ----------
    death, place
        What died where.
    told, ended
        How often it was told of, and how often its end.
    seconds
        From the death to the first word; None where none came.
    state
        How the run ended.
    """

    death: str
    place: str
    told: int
    ended: int
    seconds: float | None
    state: str | None


def build_lane_rows(lane: Sequence[Died], told: Iterable[Told]) -> list[Row]:
    """Count what was told of a lane's DAG from one death to the next."""
    mine = [each for each in told if each.key.endswith(f"/{lane[0].trial.dag_id}")]
    ends = [died.began_at for died in lane[1:]] + [float("inf")]
    return [
        _build_row(died.trial.death, died.trial.place, died.state, died.died_at, _between(mine, died.began_at, end))
        for died, end in zip(lane, ends, strict=True)
    ]


def build_scene_rows(scenes: Sequence[Played], told: Iterable[Told]) -> list[Row]:
    """Count all that was told from one scene to the next: of whatever it was, it came of the scene."""
    words = list(told)
    ends = [each.began_at for each in scenes[1:]] + [float("inf")]
    return [
        _build_row(each.scene.death, each.scene.place, each.state, each.began_at, _between(words, each.began_at, end))
        for each, end in zip(scenes, ends, strict=True)
    ]


def build_stock_rows(deaths: Iterable[Died], calls: Iterable[Call]) -> list[Row]:
    """Count what the notifier sent: its text names the run."""
    posts = [(call.at, str(call.body.get("text"))) for call in calls]
    rows = []
    for died in deaths:
        mine = [at for at, text in posts if died.run_id in text]
        seconds = mine[0] - died.died_at if mine else None
        rows.append(Row(died.trial.death, died.trial.place, len(mine), 0, seconds, died.state))
    return rows


def _between(told: Iterable[Told], begin: float, end: float) -> list[Told]:
    return [each for each in told if begin <= each.at < end]


def _build_row(death: str, place: str, state: str | None, died_at: float, told: Sequence[Told]) -> Row:
    first = [each.at for each in told if not each.is_over]
    seconds = first[0] - died_at if first else None
    return Row(death, place, len(first), len(told) - len(first), seconds, state)


def count_strays(lanes: Iterable[Sequence[Died]], told: Iterable[Told], *, until: float) -> int:
    """Count what was told while tasks died and is of none of their DAGs.

    The watchdog sees stock Airflow's failures too, and tells of those: they are no strays.
    """
    dags = tuple(f"/{lane[0].trial.dag_id}" for lane in lanes)
    words = (each.key for each in told if each.at < until)
    return sum(not key.endswith(dags) and "/stock" not in key for key in words)


def draw_task_lines(ours: Sequence[Row], stock: Sequence[Row]) -> list[list[str]]:
    """Draw a line for each death of a task, with all its places."""
    lines = []
    for death in dict.fromkeys(row.death for row in ours):
        mine = [row for row in ours if row.death == death]
        theirs = [row.told for row in stock if row.death == death]
        places = ", ".join(row.place.replace("market_close.", "") for row in mine)
        lines.append([death, places, *_draw_counts(mine), _spell(theirs)])
    return lines


def draw_scene_lines(scenes: Sequence[Row]) -> list[list[str]]:
    """Draw a line for each death of what tasks stand on; stock Airflow tells nobody."""
    return [[row.death, row.place, *_draw_counts([row]), "0"] for row in scenes]


def _draw_counts(rows: Sequence[Row]) -> list[str]:
    seconds = [row.seconds for row in rows if row.seconds is not None]
    slowest = f"{max(seconds):.0f} s" if seconds else "–"
    return [_spell(row.told for row in rows), slowest, _spell(row.ended for row in rows)]


def _spell(counts: Iterable[int]) -> str:
    """Give a count that all share, or each."""
    found = list(counts)
    return str(found[0]) if len(set(found)) == 1 else ", ".join(map(str, found))


def write_document(path: Path, lines: Iterable[Sequence[str]]) -> None:
    """Put the table between its marks in a document."""
    head, _, rest = path.read_text().partition(BEGIN)
    table = [f"| {' | '.join(HEADER)} |", "|" + "---|" * len(HEADER), *(f"| {' | '.join(line)} |" for line in lines)]
    path.write_text(head + BEGIN + "\n".join(table) + "\n" + END + rest.partition(END)[2])
