"""Homes to kill work in, small ones that hold a case of everything, and the work.

Every operation is deterministic: done twice on copies of one home, it ends in the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from include.errors import NotFoundError
from include.ingest.ingest import ingest_session, ingest_upload
from include.ingest.release import bring_back, release_rows, repair_upload
from include.lake.catalog import read_operations
from include.lake.maintain import maintain_lake
from include.lake.quarantine import QuarantineFilter
from include.settings import Settings

HEADER = "symbol,date,open,high,low,close,volume"
FIRST = date(2024, 1, 1)
NEXT = FIRST + timedelta(days=10)
"""The session that the inbox holds an upload for."""

_SYMBOLS = [f"S{number:02d}" for number in range(20)]
_OPERATOR = "an operator"
_WHY = "the exchange has confirmed these"
_FORM = "the form of run 1"
_OUTSIDE = "outside"

Run = Callable[[Settings], object]


@dataclass(frozen=True)
class Operation:
    """Work that is killed.

    Attributes
    ----------
    prepare
        Makes the home before it.
    run
        Does the work; again after a kill, until it is done.
    stages
        The same in the parts of which each may stand alone, where there are several.
    removes_history
        Whether versions of bars may go by it.
    """

    prepare: Run
    run: Run
    stages: tuple[Run, ...] = ()
    removes_history: bool = False


def write_rows(path: Path, rows: Iterable[str]) -> Path:
    """Write an upload."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def make_row(symbol: str, day: int, *, factor: float = 1.0, low: float | None = None) -> str:
    """Make one sound row, or one whose low is above all other prices."""
    level = (1 + sum(symbol.encode()) % 17) * (1 + 0.01 * (day % 5)) * factor
    low = level * 0.9 if low is None else low
    moment = FIRST + timedelta(days=day)
    return f"{symbol},{moment},{level:.4f},{level * 1.1:.4f},{low:.4f},{level * 1.05:.4f},{1000 + day}"


def _history() -> list[str]:
    return [make_row(symbol, day) for day in range(5, 10) for symbol in _SYMBOLS[3:]]


def prepare_calm(settings: Settings) -> None:
    """Five sessions of which every row stands: no quarantine, no restatement yet; corrections wait in the inbox."""
    ingest_upload(settings, write_rows(settings.home / _OUTSIDE / "history.csv", _history()))
    _put_session(settings)


def prepare_grown(settings: Settings) -> None:
    """Five sessions, rows in quarantine from two uploads, one that waits for its level, a correction; more waits."""
    rows = [*_history(), make_row("S05", 6), "S04,2024-01-10,abc,2,1,1.5,7", make_row("S19", 9, factor=1000.0)]
    rows += [make_row("S00", 8, low=1e6), make_row("S01", 9, low=1e6)]
    rows.remove(make_row("S19", 9))
    outside = settings.home / _OUTSIDE
    ingest_upload(settings, write_rows(outside / "history.csv", rows))
    more = [make_row("S06", 6, factor=1.01), make_row("S07", 6, factor=1.01), make_row("S02", 9, low=1e6)]
    ingest_upload(settings, write_rows(outside / "correction.csv", more))
    write_rows(outside / "repaired.csv", [make_row("S00", 8), make_row("S01", 9), make_row("S08", 9, factor=1.02)])
    _put_session(settings)


def _put_session(settings: Settings) -> None:
    """Three new sessions that confirm a level, two corrected cells, a bad row and a repeated one."""
    days = (10, 11, 12)
    rows = [make_row(symbol, day) for day in days for symbol in _SYMBOLS[:-1]]
    rows += [make_row("S19", day, factor=1000.0) for day in days]
    rows += [make_row("S09", 9, factor=1.03), make_row("S10", 9, factor=1.03), make_row("S11", 10), "bad,2024-01-09,-"]
    write_rows(settings.inbox / f"{NEXT}.csv", rows)


def prepare_empty(settings: Settings) -> None:
    """Nothing but an inbox."""
    _put_session(settings)


def prepare_folder(settings: Settings) -> None:
    """As grown, and what waits is a folder of parts."""
    prepare_grown(settings)
    (settings.inbox / f"{NEXT}.csv").unlink()
    folder = settings.inbox / str(NEXT)
    for part in range(3):
        symbols = _SYMBOLS[part::3]
        write_rows(folder / f"part-{part}.csv", [make_row(name, day) for day in (9, 10) for name in symbols])
    (folder / "_SUCCESS").touch()


def prepare_worn(settings: Settings) -> None:
    """As grown, with sessions corrected often: small files to merge, and versions that nothing needs any more."""
    prepare_grown(settings)
    for number in range(4):
        rows = [make_row("S12", 9, factor=1 + number / 100), make_row(f"bad{number}", 9, low=1e6)]
        ingest_upload(settings, write_rows(settings.home / _OUTSIDE / f"{number}.csv", rows))


def run_ingest(settings: Settings) -> None:
    """Ingest what the inbox holds for the session."""
    ingest_session(settings, NEXT)


def run_release(settings: Settings) -> None:
    """Release from every upload; once all is released there is nothing to do, which a person is told by an error."""
    with suppress(NotFoundError):
        _release(settings, QuarantineFilter(expectation="low_is_lowest"))


def _release(settings: Settings, wanted: QuarantineFilter) -> None:
    release_rows(settings, wanted, who=_OPERATOR, why=_WHY)


def _release_newest(settings: Settings) -> None:
    _release(settings, QuarantineFilter(upload=_hash_of(settings, "correction.csv"), expectation="low_is_lowest"))


def run_release_form(settings: Settings) -> None:
    """Release as the form of a DAG does; a retry of the task is the same call."""
    bring_back(settings, _ask("release", upload=None, expectation="low_is_lowest"), who=_FORM)


def _release_form_newest(settings: Settings) -> None:
    upload = _hash_of(settings, "correction.csv")
    bring_back(settings, _ask("release", upload=upload, expectation="low_is_lowest"), who=_FORM)


def run_repair(settings: Settings) -> None:
    """Repair with a file from outside the home's inbox."""
    corrected = settings.home / _OUTSIDE / "repaired.csv"
    repair_upload(settings, _hash_of(settings, "history.csv"), corrected, who=_OPERATOR, why=_WHY)


def prepare_repair_form(settings: Settings) -> None:
    """As grown, the corrected file in the inbox."""
    prepare_grown(settings)
    (settings.home / _OUTSIDE / "repaired.csv").rename(settings.inbox / "repaired.csv")


def run_repair_form(settings: Settings) -> None:
    """Repair as the form of a DAG does, with a file that lies in the inbox."""
    asked = _ask("repair", upload=_hash_of(settings, "history.csv"), file=str(settings.inbox / "repaired.csv"))
    bring_back(settings, asked, who=_FORM)


def run_upkeep(settings: Settings) -> None:
    """Compact, and remove what the audit window has left behind."""
    maintain_lake(settings, now=datetime.now(UTC) + timedelta(days=settings.audit_window_days + 1))


def run_other(settings: Settings) -> None:
    """Ingest another upload of the same sessions; what it has refused, no release beside it can let pass."""
    rows = [make_row("S13", 9, factor=1.04), make_row("S14", 10), make_row("worse", 9, factor=-1.0)]
    ingest_upload(settings, write_rows(settings.home / _OUTSIDE / "other.csv", rows))


def _ask(action: str, **given: str | None) -> dict[str, object]:
    return dict.fromkeys(("expectation", "symbols", "rows", "file")) | {"action": action, "why": _WHY} | given


def _hash_of(settings: Settings, name: str) -> str:
    (row,) = (row for row in read_operations(settings.lake) if row["name"] == name)
    return str(row["sha256"])


OPERATIONS = {
    "first ingest": Operation(prepare_empty, run_ingest),
    "first correction": Operation(prepare_calm, run_ingest),
    "ingest": Operation(prepare_grown, run_ingest),
    "ingest of a folder": Operation(prepare_folder, run_ingest),
    "release": Operation(prepare_grown, run_release, (_release_newest, run_release)),
    "release by form": Operation(prepare_grown, run_release_form, (_release_form_newest, run_release_form)),
    "repair": Operation(prepare_grown, run_repair),
    "repair by form": Operation(prepare_repair_form, run_repair_form),
    "upkeep": Operation(prepare_worn, run_upkeep, removes_history=True),
}
OTHER = Operation(prepare_grown, run_other)
