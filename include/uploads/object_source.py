"""An upload in an object store: one object, or a folder of parts closed by `_SUCCESS`.

An object is there once it is whole, so nothing is asked of it but its name; a folder's objects come one by one, and its
`_SUCCESS` comes last.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from include.errors import ClosecastError, InputError, NotFoundError
from include.object_store import ObjectInfo, ObjectStore
from include.uploads.source import Source, Stream, close_parts, identify_parts


class ObjectSource:
    """One object.

    Parameters
    ----------
    store
        Where calls go.
    info
        What the store says of it.
    """

    def __init__(self, store: ObjectStore, info: ObjectInfo) -> None:
        self.store, self.url = store, info.url
        self.name, self.size_bytes = info.name, info.size_bytes
        self.parts: Sequence[Source] = ()

    def identity(self) -> str:
        """Give entity tag and size."""
        try:
            return self.store.tag(self.url)
        except NotFoundError as error:
            raise _gone(error) from error

    def open_stream(self) -> Stream:
        """Open the object from its first byte."""
        try:
            return self.store.open_stream(self.url)
        except NotFoundError as error:
            raise _gone(error) from error

    def open_random(self) -> pa.NativeFile:
        """Open the object for reading here and there."""
        try:
            return self.store.open_random(self.url)
        except NotFoundError as error:
            raise _gone(error) from error


class ObjectFolder:
    """A folder of parts, closed by `_SUCCESS`.

    Parameters
    ----------
    store
        Where calls go.
    url
        The folder.

    Raises
    ------
    InputError
        It is not closed, has no part, or holds what would not be read.
    """

    def __init__(self, store: ObjectStore, url: str) -> None:
        self.store, self.url, self.name = store, url, url.rsplit("/", 1)[-1]
        found = store.list_folder(url)
        files = [ObjectSource(store, info) for info in found if not info.is_folder]
        folders = [info.name for info in found if info.is_folder]
        self.parts: Sequence[Source] = close_parts(self.name, files, folders)
        self.size_bytes = sum(part.size_bytes for part in self.parts)

    def identity(self) -> str:
        """Give names and identities of the parts that the folder holds now."""
        return identify_parts(ObjectFolder(self.store, self.url).parts)

    def open_stream(self) -> Stream:
        """Refuse: only the parts have bytes."""
        raise InputError("a folder of parts is read part by part", value="the folder itself", place=self.url)

    def open_random(self) -> pa.NativeFile:
        """Refuse: only the parts have bytes."""
        raise InputError("a folder of parts is read part by part", value="the folder itself", place=self.url)


def open_object(store: ObjectStore, url: str) -> ObjectSource | ObjectFolder:
    """Give the source at an address.

    Raises
    ------
    InputError
        There is none, or it is a folder that is not closed.
    """
    url = url.rstrip("/")
    info = store.find(url)
    if info is None:
        raise InputError(
            "an upload must be an object, or a folder closed by _SUCCESS", value="nothing there", place=url
        )
    return ObjectFolder(store, url) if info.is_folder else ObjectSource(store, info)


def _gone(error: ClosecastError) -> InputError:
    return InputError("an upload must be there until it is read", value="nothing there", place=error.place)
