"""What is known of an answer: its report, kept beside it, so that the same question gets the same answer.

The question is the bytes of the upload, the version, and whatever else could change a number: settings, rules, code. An
answer in which a row waits for its session to close is made anew each time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from include.files import write_atomically
from include.provenance import code_version, environment_hash
from include.quality.suites import load_suites
from include.registry.artifact import ModelVersion
from include.settings import Settings


@dataclass(frozen=True)
class AnswerReport:
    """What became of one upload that was to be answered.

    Attributes
    ----------
    answer
        The CSV, a row for each symbol and date and one for the session after each symbol's last.
    refused
        The CSV of the rows that do not stand, and why.
    copy
        Path or s3:// address of a copy of the answer, where one was asked for.
    name, sha256, size_bytes
        Of the upload.
    kept
        Where its bytes are kept.
    model_version, model_kind, model_note
        What answered.
    rows, statuses
        In the answer.
    rows_read, rows_refused, duplicates
        In the upload; duplicates repeat a row that stands to the last number.
    predictions
        Rows in `adhoc_predictions`, two a forecast; `run_id` finds them.
    seconds
        By part.
    question
        Hash of all that the answer follows from.
    is_final
        No row waits for its session to close.
    already
        The answer was there.
    """

    answer: Path
    refused: Path
    name: str
    sha256: str
    size_bytes: int
    kept: str
    model_version: int
    model_kind: str
    rows: int
    statuses: dict[str, int]
    rows_read: int
    rows_refused: int
    duplicates: int
    predictions: int
    run_id: str
    seconds: dict[str, float]
    question: str
    is_final: bool
    already: bool = False
    model_note: str | None = None
    copy: str | None = None

    def summary(self) -> str:
        """Return one line for people."""
        counts = ", ".join(f"{count:,} {status}" for status, count in self.statuses.items())
        refused = f", {self.rows_refused:,} of {self.rows_read:,} rows refused" if self.rows_refused else ""
        return (
            f"{self.name} answered by {self.model_kind} version {self.model_version}: {self.rows:,} rows ({counts})"
            f"{refused}; {'the answer was there' if self.already else f'{sum(self.seconds.values()):.2f} s'}"
            f"{f'; {self.model_note}' if self.model_note else ''}"
        )


def ask(settings: Settings, model: ModelVersion, sha256: str) -> str:
    """Hash all that an answer follows from."""
    asked = [
        sha256,
        model.onnx_sha256,
        str(model.version),
        settings.fingerprint(),
        str(settings.date_order),
        load_suites(settings).suite_hash,
        environment_hash(),
        code_version(),
    ]
    return hashlib.sha256("\n".join(asked).encode()).hexdigest()


def place_of(settings: Settings, sha256: str, version: int) -> Path:
    """Give the path of an answer; the list of refused rows and the report have its name with other endings."""
    return settings.answers / f"{sha256}-v{version}.csv"


def find_answer(answer: Path, question: str) -> AnswerReport | None:
    """Return the report of an answer to this very question; None where there is none that is final."""
    try:
        said: dict[str, Any] = json.loads(_record_of(answer).read_text())
        found = AnswerReport(**(said | {"answer": answer, "refused": refusals_of(answer)}))
    except (OSError, ValueError, TypeError):
        return None
    is_whole = answer.is_file() and found.refused.is_file()
    return replace(found, already=True) if found.question == question and found.is_final and is_whole else None


def keep_record(report: AnswerReport) -> None:
    """Write the report beside the answer, the last of its files: without it there is no answer."""
    said = asdict(report) | {"answer": report.answer.name, "refused": report.refused.name, "copy": None}
    write_atomically(_record_of(report.answer), json.dumps(said))


def refusals_of(answer: Path) -> Path:
    """Give the path of the list of refused rows."""
    return answer.with_suffix(".refused.csv")


def _record_of(answer: Path) -> Path:
    return answer.with_suffix(".json")
