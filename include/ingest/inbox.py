"""Where uploads land, and which of them belong to a session.

An upload for a session is a file, or a folder of parts closed by `_SUCCESS`, whose name holds the session as an ISO
date (`2018-06-01.csv`, `bars_2018-06-01.parquet`, `2018-06-01/part-0.csv`). One that is still being written is not
there: a hidden name, one that ends in .tmp or .part, a folder without `_SUCCESS`, and on a local path a file that a
process has open for writing. An object in a store appears whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from include.errors import InputError
from include.ingest.writing import is_whole
from include.object_store import RETRY_S, ObjectStore, is_object_url
from include.settings import Settings
from include.uploads.source import SUCCESS, Source, is_closed_folder, is_finished, open_local


def list_arrived(settings: Settings, session: date) -> list[Source]:
    """Return the finished uploads of a session that wait in the inbox, sorted by name.

    Raises
    ------
    InputError
        The inbox may not be read, or a folder is closed and holds no part.
    UnavailableError
        The object store does not answer.
    """
    return _open_all(settings, _list_addresses(settings, session.isoformat()))


def list_waiting(settings: Settings) -> list[Source]:
    """Return all finished uploads in the inbox, sorted by name; raises as `list_arrived`."""
    return _open_all(settings, _list_addresses(settings, ""))


def has_arrived(settings: Settings, session: date) -> bool:
    """Whether a finished upload of a session waits in the inbox; raises as `list_arrived`."""
    return next(_list_addresses(settings, session.isoformat()), None) is not None


def open_source(address: str | Path, *, retry_s: float = RETRY_S) -> Source:
    """Give the upload at a path or an s3:// address.

    Raises
    ------
    InputError
        There is none, it may not be read, or it is a folder without `_SUCCESS`.
    UnavailableError
        The object store does not answer.
    """
    if not is_object_url(str(address)):
        return open_local(Path(address))
    from include.uploads.object_source import open_object

    return open_object(ObjectStore(retry_s=retry_s), str(address))


def address_of(source: Source) -> str:
    """Give the path or the s3:// address of an upload."""
    return str(getattr(source, "url", None) or getattr(source, "path", source.name))


def is_in_inbox(settings: Settings, source: Source) -> bool:
    """Whether an upload lies directly in the inbox."""
    address = address_of(source)
    if is_object_url(address):
        return address.rpartition("/")[0] == settings.inbox_url
    # The folders on the way may be links or go up and down; the last name counts as it is, be it a link.
    return not settings.has_object_store and Path(address).parent.resolve() == settings.inbox.resolve()


def require_finished(settings: Settings, source: Source) -> None:
    """Refuse an upload on a local path that a process has open for writing; see `include.ingest.writing`.

    Raises
    ------
    InputError
        It, or one of its parts, is still being written.
    """
    for part in source.parts or [source]:
        path = getattr(part, "path", None)
        if path is not None and path.exists() and not is_whole(path, settings.upload_settle_s):
            rule = "an upload must be complete before it is read: a process has it open for writing, or just had"
            raise InputError(rule, value=path.name, place=address_of(source))


def require_unchanged(source: Source, identity: str) -> None:
    """Refuse an upload that changed while it was read.

    Parameters
    ----------
    source
        The upload.
    identity
        What `source.identity()` gave before the reading.

    Raises
    ------
    InputError
        It is another now, or gone.
    """
    if source.identity() != identity:
        rule = "an upload must stay as it is while it is read (write it under a hidden name, then rename it)"
        raise InputError(rule, value="a file that changed meanwhile", place=address_of(source))


def _open_all(settings: Settings, addresses: Iterator[str]) -> list[Source]:
    found = []
    for address in addresses:
        try:
            found.append(open_source(address, retry_s=settings.store_retry_s))
        except InputError:
            if is_object_url(address) or Path(address).exists():
                raise  # else another ingest has taken it since the listing
    return found


def _list_addresses(settings: Settings, wanted: str) -> Iterator[str]:
    if settings.has_object_store:
        return _list_objects(ObjectStore(retry_s=settings.store_retry_s), settings.inbox_url, wanted)
    return _list_paths(settings.inbox, wanted, settings.upload_settle_s)


def _list_paths(inbox: Path, wanted: str, settle_s: float) -> Iterator[str]:
    try:
        entries = sorted(inbox.iterdir(), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(
            "the inbox must be a folder that can be read", value=error.strerror, place=str(inbox)
        ) from error
    for entry in entries:
        if is_finished(entry.name) and wanted in entry.name and _is_there(entry, settle_s):
            yield str(entry)


def _is_there(path: Path, settle_s: float) -> bool:
    if path.is_file():
        return is_whole(path, settle_s)
    # Its parts too: a folder that is being copied may have its _SUCCESS before they are whole.
    return is_closed_folder(path) and all(is_whole(part, settle_s) for part in path.iterdir() if part.is_file())


def _list_objects(store: ObjectStore, inbox_url: str, wanted: str) -> Iterator[str]:
    for info in store.list_folder(inbox_url):
        if (
            is_finished(info.name)
            and wanted in info.name
            and (not info.is_folder or store.find(f"{info.url}/{SUCCESS}"))
        ):
            yield info.url
