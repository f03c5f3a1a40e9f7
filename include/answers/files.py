"""Where answers are written, and where uploads that are to be answered may be found by a name alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from include.errors import InputError
from include.ingest.inbox import address_of
from include.object_store import is_object_url
from include.settings import Settings
from include.uploads.source import Source, is_finished


def require_placeable(out: Path | str | None, source: Source) -> None:
    """Refuse a place for a copy that is a folder, or the upload itself, before any work is done.

    Raises
    ------
    InputError
        It is one.
    """
    if out is None or is_object_url(str(out)):
        return
    path = Path(out)
    if path.is_dir():
        raise InputError("a copy of the answer must be a file", value="a folder", place=str(path))
    if path.exists() and not is_object_url(address_of(source)) and path.samefile(address_of(source)):
        raise InputError("a copy of the answer must not replace its upload", value="the same file", place=str(path))


def find_adhoc(settings: Settings, name: str) -> str:
    """Give the address of a file that waits to be answered, by its name below `settings.adhoc_url`.

    Whoever may start a run by REST names a file there, and no other path of the machine.

    Raises
    ------
    InputError
        It is no plain name, is still being written, or is a link.
    """
    place = f"{settings.adhoc_url}/"
    if not name or "/" in name or "\\" in name or not name.isprintable() or not is_finished(name):
        rule = "an upload to be answered must be the plain name of a finished file"
        raise InputError(rule, value=ascii(name[:200]), place=place)
    if not settings.has_object_store and Path(place, name).is_symlink():
        raise InputError("an upload to be answered must be a file and no link", value=name, place=place)
    return place + name


def require_whole(session: str | None, symbols: Sequence[str] | None) -> None:
    """Refuse a session or symbols beside an upload: every row of it is answered.

    Raises
    ------
    InputError
        One is given.
    """
    if session or symbols:
        value = session or ", ".join(symbols or [])
        raise InputError("an upload is answered whole: give no session and no symbols beside it", value=value)
