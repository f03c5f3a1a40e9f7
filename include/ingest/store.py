"""Keeps every upload as it came, read-only, found by its SHA-256: `ab/abcdef….csv.gz`, a folder of parts as a folder.

What is moved within one disk is renamed, what is moved within an object store is copied there by the store itself;
anything else is read again, hashed on the way, and gets its name only if the hash is the one it is to be found by. What
is kept is never written again. A kill at any moment leaves the upload where it was or where it is kept, and the same
call again ends the work.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from include.disk import NO_RIGHT, NO_ROOM
from include.errors import ClosecastError, InputError, NotFoundError, UnavailableError
from include.ingest.inbox import address_of, open_source, require_unchanged
from include.object_store import ObjectStore
from include.settings import Settings
from include.uploads.object_source import ObjectFolder, ObjectSource
from include.uploads.source import SUCCESS, LocalFolder, LocalSource, Source, hash_parts, is_part, open_local
from include.uploads.stream import HashedStream, Meter

_BLOCK_BYTES = 4 * 2**20
_READ_ONLY, _WRITABLE = 0o444, 0o644
_OPEN_FILES = Path("/proc/self/fd")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SUFFIX = re.compile(r"\.[A-Za-z]\w{0,7}", re.ASCII)


def keep_upload(settings: Settings, source: Source, sha256: str, *, move: bool, identity: str | None = None) -> str:
    """Put an upload where its hash says.

    Parameters
    ----------
    source
        The upload, in a folder or in an object store, whichever of them keeps it.
    sha256
        Of its bytes; of a folder, as `include.uploads.source.hash_parts` makes it.
    move
        Take it away from where it is once it is kept; else it stays there too.
    identity
        What `source.identity()` gave before the upload was read; by default what it gives now. Bytes that have taken
        its place since are neither kept nor taken away.

    Returns
    -------
    str
        Path or s3:// address. Where these bytes were kept before, of those.

    Raises
    ------
    InputError
        The upload changed or went away before it was kept, or the place may not be written.
    UnavailableError
        No room is left, or the object store does not answer.
    """
    with _explain(settings.kept_url):
        present = _find_whole(settings, source, sha256)
        try:
            identity = identity or source.identity()
        except InputError:
            if present:
                return present  # another ingest of the same upload has moved it
            raise
        if present is None:
            require_unchanged(source, identity)
            present = _kept_address(settings, source, sha256)
            if _place(settings, source, present, sha256, move=move, identity=identity):
                return present
    if move:
        with _explain(address_of(source)):
            _take_away(source, identity)
    return present


@contextmanager
def hold_file(source: Source) -> Iterator[Source | None]:
    """Hold a local file, so that its bytes can be kept also if another takes its name; None for what cannot be held.

    Linux gives an open file a name of its own below /proc. A file that is written over cannot be held so.
    """
    if not isinstance(source, LocalSource) or not _OPEN_FILES.is_dir():
        yield None
        return
    try:
        file = source.path.open("rb", buffering=0)
    except OSError as error:
        raise InputError("an upload must be a file that can be read", value=error, place=str(source.path)) from error
    with file:
        held = LocalSource(_OPEN_FILES / str(file.fileno()))
        held.name = source.name
        yield held


def find_kept(settings: Settings, sha256: str) -> str | None:
    """Return the path or s3:// address of a kept upload; None where none with this SHA-256 is kept."""
    if not _SHA256.fullmatch(sha256):
        raise InputError("a SHA-256 must be 64 hexadecimal digits", value=sha256[:80])
    if not settings.has_object_store:
        return next((str(path) for path in (settings.kept / sha256[:2]).glob(f"{sha256}*")), None)
    store = ObjectStore(retry_s=settings.store_retry_s)
    for info in store.list_folder(f"{settings.kept_url}/{sha256[:2]}"):
        if info.name.startswith(sha256) and (not info.is_folder or store.find(f"{info.url}/{SUCCESS}")):
            return info.url
    return None


def open_kept(settings: Settings, sha256: str) -> Source:
    """Open a kept upload.

    Raises
    ------
    NotFoundError
        None with this SHA-256 is kept.
    """
    address = find_kept(settings, sha256)
    if address is None:
        raise NotFoundError("an upload must be kept under its SHA-256", value=sha256, place=settings.kept_url)
    return open_source(address, retry_s=settings.store_retry_s)


def _find_whole(settings: Settings, source: Source, sha256: str) -> str | None:
    """Find what is kept already; an object that was completed too short by an error is not it."""
    found = find_kept(settings, sha256)
    if found is None or not settings.has_object_store:
        return found
    return found if open_source(found, retry_s=settings.store_retry_s).size_bytes == source.size_bytes else None


def _kept_address(settings: Settings, source: Source, sha256: str) -> str:
    return f"{settings.kept_url}/{sha256[:2]}/{sha256}{'' if source.parts else _suffix(source.name)}"


def _suffix(name: str) -> str:
    """Keep what tells the form, `.csv.gz`, and nothing else of a name that anybody may have chosen."""
    suffixes = Path(name).suffixes[-2:]
    if suffixes[-1:] not in ([".gz"], [".zst"]):
        suffixes = suffixes[-1:]
    return "".join(suffix for suffix in suffixes if _SUFFIX.fullmatch(suffix))


def _place(settings: Settings, source: Source, kept: str, sha256: str, *, move: bool, identity: str) -> bool:
    """Bring an upload to its kept place; True where it was moved there."""
    if settings.has_object_store:
        _place_object(ObjectStore(retry_s=settings.store_retry_s), source, kept, sha256, identity)
        return False
    target = Path(kept)
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep_partials(target)
    if move and isinstance(source, LocalSource | LocalFolder):
        with _lock_folder(target.parent) as is_alone:
            if target.exists():
                return False  # the same bytes from elsewhere, kept meanwhile
            if is_alone and _rename(source.path, target):
                _require_moved(source, target, identity)
                return True
    _copy_down(source, target, sha256)
    return False


@contextmanager
def _lock_folder(folder: Path) -> Iterator[bool]:
    """Let one process or thread at a time rename into a folder; False where the file system knows no such lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        is_alone = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            is_alone = False
        yield is_alone
    finally:
        os.close(descriptor)


def _rename(path: Path, target: Path) -> bool:
    """Rename a file or folder; False for what has another name too, or for what lies on another disk."""
    files = [file for file in path.rglob("*") if not file.is_dir()] if path.is_dir() else [path]
    if path.is_symlink() or any(file.is_symlink() or file.stat().st_nlink > 1 for file in files):
        return False  # by its other name it could still be written, or its target go away
    # Read-only before it has its name: a kept file can never be written. A folder of parts stays its owner's to
    # delete, since a home with read-only folders in it could not be removed.
    for file in files:
        file.chmod(_READ_ONLY)
    try:
        path.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _require_moved(source: LocalSource | LocalFolder, target: Path, identity: str) -> None:
    """Put back what was moved if it had taken the upload's place just before."""
    moved = open_local(target)
    if moved.identity() == identity:
        return
    for file in (part for part in moved.parts or [moved] if isinstance(part, LocalSource)):
        file.path.chmod(_WRITABLE)  # as it may have come: it is its writer's again
    if source.path.exists():
        _remove(target)  # and was replaced in its turn
    else:
        target.rename(source.path)
    rule = "an upload must stay as it is until it is kept (write it under a hidden name, then rename it)"
    raise InputError(rule, value="a file that took its place", place=address_of(source))


def _copy_down(source: Source, target: Path, sha256: str) -> None:
    """Copy to a local path: under a hidden name, hashed, then renamed."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if source.parts:
            partial.mkdir()
            hashes = [_write_file(part, partial / part.name) for part in source.parts]
            (partial / SUCCESS).touch(_READ_ONLY)
        else:
            hashes = [_write_file(source, partial)]
        _require_hash(source, hashes, sha256)
        with _lock_folder(target.parent):
            partial.rename(target)
    finally:
        _remove(partial)


def _write_file(source: Source, path: Path) -> str:
    with source.open_stream() as stream, path.open("xb") as out:
        hashed = HashedStream(stream, Meter(None, 0))
        while block := hashed.read(_BLOCK_BYTES):
            out.write(block)
        path.chmod(_READ_ONLY)
        return hashed.finish()


def _place_object(store: ObjectStore, source: Source, kept: str, sha256: str, identity: str) -> None:
    """Copy to the object store; of a folder, `_SUCCESS` last."""
    urls = [f"{kept}/{part.name}" for part in source.parts] or [kept]
    try:
        digests = [_put(store, each, url) for each, url in zip(source.parts or [source], urls, strict=True)]
        if None in digests:
            require_unchanged(source, identity)  # the store, which copied, tells no hash
        else:
            _require_hash(source, [digest for digest in digests if digest], sha256)
    except InputError:
        for url in urls:
            store.delete(url)
        raise
    if source.parts:
        store.write(io.BytesIO(), f"{kept}/{SUCCESS}")


def _put(store: ObjectStore, source: Source, url: str) -> str | None:
    """Bring one file; return its SHA-256, or None where the store copied it by itself."""
    if isinstance(source, ObjectSource):
        store.copy(source.url, url)
        return None
    with source.open_stream() as stream:
        hashed = HashedStream(stream, Meter(None, 0))
        store.write(hashed, url)
        return hashed.finish()


def _take_away(source: Source, identity: str) -> None:
    """Remove an upload that is kept, unless other bytes have taken its place: their own turn comes."""
    try:
        if source.identity() != identity:
            return
    except InputError:
        return  # another ingest has taken it
    if isinstance(source, ObjectFolder):
        # Without _SUCCESS it is no upload any more, however many of its parts a kill leaves.
        for name in (SUCCESS, *(part.name for part in source.parts)):
            source.store.delete(f"{source.url}/{name}")
        source.store.delete_empty(source.url)
    elif isinstance(source, ObjectSource):
        source.store.delete(source.url)
    elif isinstance(source, LocalFolder):
        _take_folder_away(source)
    elif isinstance(source, LocalSource):
        source.path.unlink(missing_ok=True)


def _take_folder_away(folder: LocalFolder) -> None:
    """Remove the parts of a folder, and the folder where nothing else is in it: only its parts are kept."""
    hidden = folder.path.with_name(f".{folder.path.name}.kept")
    with suppress(FileNotFoundError):  # of a process that died here, whose parts were kept
        _remove_files(hidden, [entry.name for entry in hidden.iterdir() if is_part(entry.name)])
    with suppress(FileNotFoundError):
        folder.path.rename(hidden)  # at once out of sight, however long its parts take
        _remove_files(hidden, [part.path.name for part in folder.parts if isinstance(part, LocalSource)])
        if hidden.exists() and not folder.path.exists():
            hidden.rename(folder.path)  # what else was in it stays where people look for it


def _remove_files(folder: Path, names: list[str]) -> None:
    """Remove some files of a folder, its `_SUCCESS` first, and the folder once it is empty."""
    for name in (SUCCESS, *names):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _require_hash(source: Source, digests: list[str], sha256: str) -> None:
    found = hash_parts(digests) if source.parts else digests[0]
    if found != sha256:
        rule = f"an upload must stay as it is until it is kept under its SHA-256 {sha256}"
        raise InputError(rule, value=found, place=address_of(source))


def _sweep_partials(target: Path) -> None:
    """Remove what processes that have died left of earlier copies of these bytes."""
    for partial in target.parent.glob(f".{target.name}.*"):
        owner = partial.name.rpartition(".")[2]
        if not owner.isdigit() or int(owner) == os.getpid() or not psutil.pid_exists(int(owner)):
            _remove(partial)


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder that may not be there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _explain(place: str) -> Iterator[None]:
    """Say in our words why the disk refused."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise UnavailableError(
                "there must be room to keep the upload", value=error.strerror, place=place
            ) from error
        if error.errno in NO_RIGHT:
            raise InputError("the place of uploads must be writable", value=error.strerror, place=place) from error
        raise ClosecastError("an upload must be kept", value=error.strerror, place=place) from error
