"""Whether a local file is still being written, asked of the kernel.

A read lease (fcntl(2), F_SETLEASE) is granted only where no process of this machine has the file open for writing, or
mapped for it. Where leases are not permitted (another user's file, without CAP_LEASE) or not known (some network and
overlay file systems, macOS) a file counts as whole once nothing about it has changed for some seconds. A writer on
another machine is seen by neither: there, only a rename or `_SUCCESS` is safe.
"""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
import time
from errno import EAGAIN
from pathlib import Path


def is_whole(path: Path, settle_s: float) -> bool:
    """Tell whether nobody is writing a file.

    Parameters
    ----------
    path
        The file; False where it has gone.
    settle_s
        Seconds without a change that make a file whole where a lease cannot tell. The time of the last change of the
        inode counts (st_ctime): unlike that of the content, no copying program sets it back.
    """
    try:
        leased = _try_lease(path)
        if leased is None:
            return time.time() - path.stat().st_ctime >= settle_s
    except FileNotFoundError:
        return False
    return leased


def _try_lease(path: Path) -> bool | None:
    """Take a read lease and give it back: False where somebody writes, None where leases cannot tell."""
    try:
        _lease(path)
    except FileNotFoundError:
        raise
    except (OSError, AttributeError) as error:
        busy = isinstance(error, OSError) and error.errno == EAGAIN and _can_tell(path.parent)
        return False if busy else None
    return True


def _lease(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # Who opens the file for writing meanwhile breaks the lease, and the kernel says so by a signal: SIGIO, which
        # ends a process, unless another is chosen. SIGURG is ignored by default.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    finally:
        os.close(descriptor)


def _can_tell(folder: Path) -> bool:
    """Whether leases are granted in a folder at all: some file systems answer as if every file were open."""
    try:
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".closecast-lease-")
    except OSError:
        return True
    os.close(descriptor)
    try:
        _lease(Path(name))
    except OSError as error:
        return error.errno != EAGAIN
    finally:
        Path(name).unlink(missing_ok=True)
    return True
