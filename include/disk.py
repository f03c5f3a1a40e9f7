"""What a disk says when it refuses, in our words: no room is left, or no right to write.

Python says it by OSError, Arrow too; deltalake by errors of its own that hold the system's number in their text.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from deltalake.exceptions import DeltaError

from include.errors import InputError, UnavailableError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)

_NUMBER = re.compile(r"\(os error (\d+)\)|\[errno (\d+)\]", re.IGNORECASE)


@contextmanager
def explain_disk(name: str, place: str) -> Iterator[None]:
    """Turn a refusal of the disk into an error that a person can act on; any other error passes.

    Parameters
    ----------
    name
        What is written, for the message: `the lake`.
    place
        Where it lies.

    Raises
    ------
    UnavailableError
        No room is left.
    InputError
        There is no right to write.
    """
    try:
        yield
    except (OSError, DeltaError) as error:
        number = find_errno(error)
        said = os.strerror(number or 0)
        if number in NO_ROOM:
            rule = f"there must be room for {name}; what was begun is taken back, do it again when there is"
            raise UnavailableError(rule, value=said, place=place) from error
        if number in NO_RIGHT:
            raise InputError(f"{name} must be writable", value=said, place=_place_of(error, place)) from error
        raise


def find_errno(error: BaseException) -> int | None:
    """Return the system's error number, from the error or from its text.

    Examples
    --------
    >>> find_errno(PermissionError(13, "Permission denied"))
    13
    >>> find_errno(ValueError("Unable to copy data to file: No space left on device (os error 28)"))
    28
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _NUMBER.search(str(error))
    return int(found[1] or found[2]) if found else None


def _place_of(error: BaseException, place: str) -> str:
    name = getattr(error, "filename", None)
    return place if name is None else os.fspath(name)
