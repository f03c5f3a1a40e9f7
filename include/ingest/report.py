"""What became of one upload: its row in the catalog, as people and programs read it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Any

from include.errors import InputError

KINDS = ("upload", "release", "repair")


@dataclass(frozen=True)
class Origin:
    """Why an upload comes.

    Parameters
    ----------
    kind
        `upload`: the day's data. `release`: quarantined rows that an operator lets pass. `repair`: a corrected file.
    who
        Person, or run of a DAG.
    why
        The reason; asked of a release and a repair.
    of_sha256
        The upload that is released from or repaired.

    Raises
    ------
    InputError
        A text has a character that cannot be written.
    """

    kind: str = "upload"
    who: str = "system"
    why: str | None = None
    of_sha256: str | None = None

    def __post_init__(self) -> None:
        for name in ("kind", "who", "why", "of_sha256"):
            require_text(name, getattr(self, name))


def require_text(name: str, text: str | None) -> None:
    """Refuse a text with half of a surrogate pair, which a shell's odd bytes become: no table takes it.

    Raises
    ------
    InputError
        There is one.
    """
    try:
        (text or "").encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name} must be text that UTF-8 can write", value=ascii(text), place=name) from error


@dataclass(frozen=True)
class IngestReport:
    """One row of `uploads`; `rows = accepted + quarantined + duplicates`, `accepted = added + restated + unchanged`.

    `released` counts rows of earlier uploads that left quarantine by this one; they are not among its own rows.
    """

    sequence: int
    sha256: str
    kind: str
    name: str
    size_bytes: int
    status: str
    rows: int
    accepted: int
    quarantined: int
    duplicates: int
    added: int
    restated: int
    unchanged: int
    released: int
    first_session: date | None
    last_session: date | None
    sessions: int
    bars_version: int | None
    quarantine_version: int | None
    restatements_version: int | None
    of_sha256: str | None
    who: str
    why: str | None
    started_at: datetime
    finished_at: datetime
    already_ingested: bool = False

    def row(self) -> dict[str, Any]:
        """Return the catalog's row."""
        return {name: value for name, value in asdict(self).items() if name != "already_ingested"}

    def summary(self) -> str:
        """Return one line for people, the count of rows explained."""
        if self.already_ingested:
            return f"{self.name}: these bytes were ingested before, as {self.sha256[:12]}; nothing to do"
        span = f"{self.first_session} to {self.last_session}" if self.sessions > 1 else f"{self.first_session}"
        more = {"corrected": self.restated, "already there": self.unchanged, "released from quarantine": self.released}
        said = "".join(f"; {count:,} {what}" for what, count in more.items() if count)
        return (
            f"{self.name}: {self.rows:,} rows = {self.accepted:,} accepted + {self.quarantined:,} quarantined"
            f" + {self.duplicates:,} exact duplicates{said}; {self.sessions} session(s), {span};"
            f" bars version {self.bars_version}"
        )


def report_from_row(row: dict[str, Any], *, already_ingested: bool = False) -> IngestReport:
    """Make the report again from the catalog's row."""
    names = {field.name for field in fields(IngestReport)}
    known = {name: value for name, value in row.items() if name in names}
    return IngestReport(**known, already_ingested=already_ingested)


def name_status(accepted: int, quarantined: int) -> str:
    """Say in a word how much of an upload stands: `complete`, `partial` or `refused`."""
    if not quarantined:
        return "complete"
    return "partial" if accepted else "refused"
