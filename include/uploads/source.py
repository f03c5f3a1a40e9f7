"""Where an upload's bytes are: a file, or a folder of parts that its writer has closed.

A source is read twice at most: in order from the first byte to the last, which hashes it, and for Parquet also here and
there. Readers ask nothing else of it, so an object store serves as well as a disk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa

from include.errors import InputError

SUCCESS = "_SUCCESS"
"""The file that the writer of a folder of parts puts there last."""

_UNFINISHED = (".tmp", ".part")
_NAMED = 5
_READABLE = "an upload must be a file, or a folder closed by _SUCCESS, that can be read"


class Stream(Protocol):
    """Bytes in order; a context manager that closes."""

    def read(self, size: int, /) -> bytes:
        """Give up to `size` bytes, none only at the end."""

    def close(self) -> None:
        """Let go of the file or the connection."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Source(Protocol):
    """One upload, or one part of it."""

    @property
    def name(self) -> str:
        """File or folder name as it came, without the path to it."""

    @property
    def size_bytes(self) -> int:
        """Size of the file as it came; of a folder, of all its parts."""

    @property
    def parts(self) -> Sequence[Source]:
        """A folder's files in name order; empty for a file."""

    def identity(self) -> str:
        """Tell these bytes from others that take their place: another answer after a reading means it read a mixture.

        Raises
        ------
        InputError
            It is no longer there.
        """

    def open_stream(self) -> Stream:
        """Open the file from its first byte, for one reading in order.

        Raises
        ------
        InputError
            It cannot be read, or is a folder.
        """

    def open_random(self) -> pa.NativeFile:
        """Open the file for reading here and there, from several threads at once.

        Raises
        ------
        InputError
            It cannot be read, or is a folder.
        """


class LocalSource:
    """A file on a local path.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        It is no file, or there is no right to look.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, writable_name(path)
        self.parts: Sequence[Source] = ()
        try:
            if not path.is_file():
                raise InputError(_READABLE, value="no file" if path.exists() else "nothing there", place=str(path))
            self.size_bytes = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error) from error

    def identity(self) -> str:
        """Give inode, size and time of the last writing."""
        try:
            found = self.path.stat()
        except OSError as error:
            raise _unreadable(self.path, error) from error
        return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"

    def open_stream(self) -> Stream:
        """Open the file from its first byte."""
        try:
            return self.path.open("rb", buffering=0)
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def open_random(self) -> pa.NativeFile:
        """Open the file for reading here and there (not mapped: mapped pages count as resident memory)."""
        try:
            return pa.OSFile(os.fsencode(self.path))  # pyarrow takes a name that is not UTF-8 as bytes alone
        except OSError as error:
            raise _unreadable(self.path, error) from error


class LocalFolder:
    """A folder of parts on a local path, closed by `_SUCCESS`.

    Parameters
    ----------
    path
        The folder. Names that begin with a dot or an underscore are no parts.

    Raises
    ------
    InputError
        It is not closed, has no part, holds what would not be read, or there is no right to look.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, writable_name(path)
        try:
            entries = sorted(path.iterdir(), key=lambda entry: entry.name)
            files = [LocalSource(entry) for entry in entries if entry.is_file()]
            others = [writable_name(entry) for entry in entries if not entry.is_file()]
        except OSError as error:
            raise _unreadable(path, error) from error
        self.parts: Sequence[Source] = close_parts(self.name, files, others)
        self.size_bytes = sum(part.size_bytes for part in self.parts)

    def identity(self) -> str:
        """Give names and identities of the parts that the folder holds now."""
        return identify_parts(LocalFolder(self.path).parts)

    def open_stream(self) -> Stream:
        """Refuse: only the parts have bytes."""
        raise InputError("a folder of parts is read part by part", value="the folder itself", place=self.name)

    def open_random(self) -> pa.NativeFile:
        """Refuse: only the parts have bytes."""
        raise InputError("a folder of parts is read part by part", value="the folder itself", place=self.name)


def open_local(path: Path) -> Source:
    """Give the source at a local path: a folder of parts, or a file."""
    try:
        return LocalFolder(path) if path.is_dir() else LocalSource(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def is_closed_folder(path: Path) -> bool:
    """Whether a path is a folder that its writer has closed with `_SUCCESS`."""
    return path.is_dir() and (path / SUCCESS).is_file()


def is_finished(name: str) -> bool:
    """Whether a file's name says that it is no longer being written."""
    return not name.startswith(".") and not name.endswith(_UNFINISHED)


def writable_name(path: Path) -> str:
    """Give a file's name as text that can be written: a byte that is no UTF-8 becomes an escape.

    Examples
    --------
    >>> writable_name(Path("2018-06-01\\udcff.csv"))
    '2018-06-01\\\\udcff.csv'
    """
    return path.name.encode("utf-8", "backslashreplace").decode()


def is_part(name: str) -> bool:
    """Whether a file in a folder of parts is one of them, and no marker or file still being written."""
    return is_finished(name) and not name.startswith("_")


def close_parts(name: str, files: Sequence[Source], others: Sequence[str] = ()) -> list[Source]:
    """Give the parts among a folder's files, in name order.

    Parameters
    ----------
    name
        Of the folder, for messages.
    files
        All of its files.
    others
        Names of what lies in it and is no file.

    Raises
    ------
    InputError
        `_SUCCESS` is not among them, or no part is; or the folder holds a folder or an unfinished file: a part that
        nobody reads would be lost with the folder.
    """
    if not any(file.name == SUCCESS for file in files):
        rule = f"a folder of parts must be closed by a file {SUCCESS}"
        raise InputError(rule, value=f"{len(files)} file(s) without it", place=name)
    unread = [other + "/" for other in others if is_part(other)]
    unread += [file.name for file in files if file.name.endswith(_UNFINISHED) and file.name[0] not in "._"]
    if unread:
        rule = "a closed folder of parts must hold finished files alone, and no folder"
        raise InputError(rule, value=", ".join(sorted(unread)[:_NAMED]), place=name)
    parts = sorted((file for file in files if is_part(file.name)), key=lambda file: file.name)
    if not parts:
        raise InputError("a folder of parts must hold at least one part", value=f"only {SUCCESS}", place=name)
    return parts


def identify_parts(parts: Sequence[Source]) -> str:
    """Give the identity of a folder: its parts' names and identities."""
    return "\n".join(f"{part.name}: {part.identity()}" for part in parts)


def hash_parts(hashes: Sequence[str]) -> str:
    """Hash a folder by its parts' SHA-256, in name order: what the parts or the folder are called does not count.

    Examples
    --------
    >>> hash_parts(["aa", "bb"]) == hashlib.sha256(b"aa\\nbb").hexdigest()
    True
    """
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(_READABLE, value=error, place=str(path))
