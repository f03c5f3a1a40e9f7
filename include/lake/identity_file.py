"""The file of symbol changes: a CSV that a person edits, read strictly, every fault named with its line.

    symbol,successor,session,factor,volume_in,note
    RDN,RDNX,2018-06-01,1000,units,1000 RDN became one RDNX

`factor` (1 by default), `volume_in` (`units` by default) and `note` may be left out. A home without the file has none.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from datetime import date
from math import isfinite
from pathlib import Path

from include.errors import InputError, NotFoundError
from include.files import write_atomically
from include.lake.identity import NO_CHANGES, SymbolChange, SymbolChanges
from include.settings import Settings

NEEDED = ("symbol", "successor", "session")
OPTIONAL = ("factor", "volume_in", "note")
VOLUME_IN = ("units", "quote")


def load_symbol_changes(settings: Settings) -> SymbolChanges:
    """Read the changes of an installation.

    Raises
    ------
    InputError
        The file breaks a rule, or was named by the setting and is not there.
    """
    path = settings.symbol_changes_file
    if not path.exists() and settings.symbol_changes is None:
        return NO_CHANGES
    return read_symbol_changes(path)


def keep_symbol_changes(settings: Settings, changes: SymbolChanges) -> str | None:
    """Keep the file that the changes came from under its SHA-256, and return this; None where there is no file.

    Raises
    ------
    InputError
        The file is another by now.
    """
    if changes.sha256 is None:
        return None
    kept = _kept_file(settings, changes.sha256)
    if not kept.is_file():
        data = settings.symbol_changes_file.read_bytes()
        if hashlib.sha256(data).hexdigest() != changes.sha256:
            rule = "the file of symbol changes must stay as it is while a run reads it"
            raise InputError(rule, value="another content", place=str(settings.symbol_changes_file))
        write_atomically(kept, data.decode("utf-8"))
    return changes.sha256


def load_kept_changes(settings: Settings, sha256: str | None) -> SymbolChanges:
    """Read the changes that an earlier run went by.

    Raises
    ------
    NotFoundError
        They are not kept as they were.
    """
    if sha256 is None:
        return NO_CHANGES
    kept = _kept_file(settings, sha256)
    if not kept.is_file() or hashlib.sha256(kept.read_bytes()).hexdigest() != sha256:
        raise NotFoundError(
            "symbol changes that a run went by must be kept as they were", value=sha256, place=str(kept)
        )
    return read_symbol_changes(kept)


def _kept_file(settings: Settings, sha256: str) -> Path:
    return settings.references / f"{sha256}.csv"


def read_symbol_changes(path: Path) -> SymbolChanges:
    """Read and check a file of symbol changes.

    Raises
    ------
    InputError
        Names the rule, what came, the file and the line.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            "the file of symbol changes must be readable", value=error.strerror, place=str(path)
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("symbol changes must be UTF-8", value=error.reason, place=str(path)) from error
    numbered = sorted(_read_lines(text, path), key=lambda pair: pair[1].session)
    _require_one_meaning(numbered, path)
    return SymbolChanges(tuple(change for _, change in numbered), hashlib.sha256(data).hexdigest())


def _read_lines(text: str, path: Path) -> Iterator[tuple[int, SymbolChange]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _require_columns(header, path)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                place = f"{path}, line {reader.line_num}"
                if len(cells) != len(header):
                    raise InputError(f"a line must have {len(header)} fields", value=len(cells), place=place)
                yield reader.line_num, _read_change(dict(zip(header, map(str.strip, cells), strict=True)), place)
    except csv.Error as error:
        place = f"{path}, line {reader.line_num}"
        raise InputError("symbol changes must be a CSV", value=str(error), place=place) from error


def _require_columns(header: list[str], path: Path) -> None:
    place = f"{path}, line 1"
    if unknown := [name for name in header if name not in (*NEEDED, *OPTIONAL)]:
        raise InputError(f"columns must be {', '.join((*NEEDED, *OPTIONAL))}", value=unknown[0], place=place)
    if len(set(header)) != len(header):
        raise InputError("a column must be named once", value=", ".join(header), place=place)
    if missing := [name for name in NEEDED if name not in header]:
        raise InputError(f"column {missing[0]} must be there", value=", ".join(header) or "nothing", place=place)


def _read_change(cells: dict[str, str], place: str) -> SymbolChange:
    for name in NEEDED:
        if not cells[name]:
            raise InputError(f"{name} must not be empty", place=place)
    change = SymbolChange(
        cells["symbol"],
        cells["successor"],
        _read_session(cells["session"], place),
        _read_factor(cells.get("factor") or "1", place),
        cells.get("volume_in") or "units",
        cells.get("note", ""),
    )
    if change.volume_in not in VOLUME_IN:
        raise InputError(f"volume_in must be {' or '.join(VOLUME_IN)}", value=change.volume_in, place=place)
    if change.symbol == change.successor and change.factor == 1.0:
        raise InputError("a symbol that keeps its name must have a factor other than 1", value="1", place=place)
    return change


def _read_session(cell: str, place: str) -> date:
    rule = "session must be a date as YYYY-MM-DD"
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", cell, re.ASCII):
        raise InputError(rule, value=cell, place=place)
    try:
        return date.fromisoformat(cell)
    except ValueError as error:
        raise InputError(rule, value=cell, place=place) from error


def _read_factor(cell: str, place: str) -> float:
    try:
        factor = float(cell)
    except ValueError:
        factor = float("nan")
    if not (isfinite(factor) and factor > 0):
        raise InputError("factor must be a number greater than zero", value=cell, place=place)
    return factor


def _require_one_meaning(numbered: list[tuple[int, SymbolChange]], path: Path) -> None:
    """Refuse what has two readings: two successors or two predecessors at once, and a chain within one session."""
    left: dict[tuple[date, str], int] = {}
    joined: dict[tuple[date, str], int] = {}
    for line, change in numbered:
        for seen, name, rule in (
            (left, change.symbol, "a symbol must have one successor in a session"),
            (joined, change.successor, "a successor must have one predecessor in a session"),
        ):
            if (other := seen.setdefault((change.session, name), line)) != line:
                raise InputError(rule, value=f"{name}, also on line {other}", place=f"{path}, line {line}")
    for line, change in numbered:
        other = left.get((change.session, change.successor), line)
        if other != line:
            rule = "a successor must not be changed itself in the same session (a cycle, or a chain without an order)"
            raise InputError(rule, value=f"{change.successor}, on line {other}", place=f"{path}, line {line}")
