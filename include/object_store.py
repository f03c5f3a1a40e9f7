"""What an `s3://` address means: the client, patience with a store that is away, and its errors in our words.

The endpoint comes from AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, the region from AWS_REGION, credentials from where the
AWS client finds them (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, the instance). Arrow's client is made at the
first use and never at import: it starts threads, which a fork would lose. An error names the address and the store's
code for it, and no text of the store's, which may quote a key.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import pyarrow as pa

from include.errors import ClosecastError, InputError, NotFoundError, UnavailableError
from include.files import open_placed
from include.settings import OBJECT_SCHEME

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem

RETRY_S = 90.0
"""How long a store that does not answer is asked again: a minute's outage and the time to see that it is over."""

COPY_LIMIT_BYTES = 5 * 2**30
"""Largest object that a store copies by itself (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html,
read 2026-11-21); a larger one is read and written again."""

_BLOCK_BYTES = 8 * 2**20
_BLOCKS_AHEAD = 4  # one connection gives 50 to 100 MB/s, so several blocks are on their way at once
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0
_SDK_ATTEMPTS = (
    10  # of a read that Parquet asks for, which we cannot repeat: measured, 45 to 50 s with 9, 20 s each more
)
_CODE = re.compile(r"AWS Error (\w+(?: \(HTTP status \d+\))?)")
_TRANSIENT = (
    "NETWORK_CONNECTION",
    "SLOW_DOWN",
    "THROTTL",
    "SERVICE_UNAVAILABLE",
    "INTERNAL_FAILURE",
    "REQUEST_TIMEOUT",
)
_REFUSED = (
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY",
    "SIGNATURE",
    "FORBIDDEN",
    "UNRECOGNIZED_CLIENT",
    "TOKEN",
    "status 403",
)

_T = TypeVar("_T")


class Readable(Protocol):
    """Bytes in order."""

    def read(self, size: int, /) -> bytes:
        """Give up to `size` bytes, none only at the end."""


@dataclass(frozen=True)
class ObjectInfo:
    """An object, or what looks like a folder: other keys begin with its name and a slash."""

    url: str
    size_bytes: int
    is_folder: bool

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class ObjectStore:
    """Calls to the store of the environment, each repeated for `retry_s` seconds while the store is away.

    Every call raises UnavailableError where the store did not answer in that time, InputError where the bucket is not
    there or the credentials do not suffice.
    """

    retry_s: float = RETRY_S
    copy_limit_bytes: int = COPY_LIMIT_BYTES

    def list_folder(self, url: str) -> list[ObjectInfo]:
        """List what lies directly below an address, sorted by name; nothing where there is nothing."""
        from pyarrow.fs import FileSelector

        try:  # to ask for what may be absent would say of an absent bucket that it is empty
            found = self._ask(url, lambda: _connect().get_file_info(FileSelector(_path(url))))
        except NotFoundError:
            return []
        return sorted((_inform(info) for info in found), key=lambda info: info.name)

    def find(self, url: str) -> ObjectInfo | None:
        """Describe an object or folder; None where there is none."""
        from pyarrow.fs import FileType

        info = self._ask(url, lambda: _connect().get_file_info(_path(url)))
        return None if info.type == FileType.NotFound else _inform(info)

    def tag(self, url: str) -> str:
        """Give the entity tag and size of an object: another writing of it has another.

        Raises
        ------
        NotFoundError
            There is no such object.
        """

        def ask() -> str:
            with _connect().open_input_file(_path(url)) as file:
                known = file.metadata() or {}
                return f"{known.get('ETag', b'').decode()} {file.size()}"

        return self._ask(url, ask)

    def open_random(self, url: str) -> pa.NativeFile:
        """Open an object for reading here and there; the client itself repeats a read that fails, up to a minute."""
        return self._ask(url, lambda: _connect(_SDK_ATTEMPTS if self.retry_s else 1).open_input_file(_path(url)))

    def open_stream(self, url: str) -> ObjectStream:
        """Open an object for reading once, in order."""
        file = self._ask(url, lambda: _connect().open_input_file(_path(url)))
        return ObjectStream(file, lambda size, at: self._ask(url, lambda: bytes(file.read_at(size, at))))

    def copy(self, url: str, target: str) -> None:
        """Copy an object within the store: whole or not at all, and without passing through here up to the limit."""
        info = self.find(url)
        if info is None:
            raise _missing(url)
        if info.size_bytes > self.copy_limit_bytes:
            with self.open_stream(url) as stream:
                self.write(stream, target)
        else:
            self._ask(target, lambda: _connect().copy_file(_path(url), _path(target)))

    def write(self, stream: Readable, url: str) -> None:
        """Write an object from a stream; it is there once it is whole.

        Arrow completes an upload also when it is closed because of an error: what that leaves is deleted.
        """
        try:
            # Without compression=None, Arrow compresses by itself what has the suffix of a compressed file.
            with self._ask(url, lambda: _connect().open_output_stream(_path(url), compression=None)) as out:
                while block := stream.read(_BLOCK_BYTES):
                    out.write(block)
        except BaseException as error:
            self._delete_torn(url)
            if isinstance(error, OSError):
                raise _translate(error, url) from error
            raise

    def delete(self, url: str) -> None:
        """Delete an object; none there is no error."""
        self._ask(url, lambda: _delete(_path(url)))

    def delete_empty(self, url: str) -> None:
        """Delete a folder in which nothing is any more: Arrow leaves an empty object of its name behind."""
        if not self.list_folder(url):
            self._ask(url, lambda: _connect().delete_dir(_path(url)))

    def _delete_torn(self, url: str) -> None:
        try:
            ObjectStore(retry_s=0).delete(url)
        except ClosecastError:
            return  # a store that is away has completed nothing

    def _ask(self, url: str, action: Callable[[], _T]) -> _T:
        """Do a call, again with growing pauses while the store is away."""
        until, pause = time.monotonic() + self.retry_s, _FIRST_PAUSE_S
        while True:
            try:
                return action()
            except OSError as error:
                known = _translate(error, url)
                if not isinstance(known, UnavailableError) or time.monotonic() + pause > until:
                    raise known from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)


class ObjectStream:
    """An object's bytes in order, the next blocks on their way while the caller works on this one.

    Parameters
    ----------
    file
        The open object.
    read_block
        Gives up to so many bytes from a position.
    """

    def __init__(self, file: pa.NativeFile, read_block: Callable[[int, int], bytes]) -> None:
        self._file, self._read_block = file, read_block
        self._size, self._asked, self._rest = file.size(), 0, memoryview(b"")
        self._pool = ThreadPoolExecutor(_BLOCKS_AHEAD, thread_name_prefix="object")
        self._coming: deque[Future[bytes]] = deque()

    def read(self, size: int, /) -> bytes:
        """Give up to `size` bytes, none only at the end."""
        if not self._rest:
            self._ask_ahead()
            self._rest = memoryview(self._coming.popleft().result() if self._coming else b"")
        block, self._rest = self._rest[:size], self._rest[size:]
        return bytes(block)

    def _ask_ahead(self) -> None:
        while len(self._coming) < _BLOCKS_AHEAD and self._asked < self._size:
            self._coming.append(self._pool.submit(self._read_block, _BLOCK_BYTES, self._asked))
            self._asked += _BLOCK_BYTES

    def close(self) -> None:
        """Let go of the connection; blocks that are on their way are waited for."""
        self._pool.shutdown(cancel_futures=True)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_object_url(address: str) -> bool:
    """Whether an address is in an object store."""
    return address.startswith(OBJECT_SCHEME)


def _connect(attempts: int = 1) -> S3FileSystem:
    """Give the client of the environment as it is now; one a process, since a client does not outlive a fork."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    keys = (os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_PROFILE"))
    return _make_client(endpoint, region, attempts, (os.getpid(), *keys))


@lru_cache(maxsize=4)
def _make_client(endpoint: str | None, region: str | None, attempts: int, _owner: tuple[object, ...]) -> S3FileSystem:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    strategy = AwsStandardS3RetryStrategy(max_attempts=attempts)
    return S3FileSystem(endpoint_override=endpoint, region=region, retry_strategy=strategy)


def _path(url: str) -> str:
    return url.removeprefix(OBJECT_SCHEME).rstrip("/")


def _inform(info: object) -> ObjectInfo:
    return ObjectInfo(OBJECT_SCHEME + info.path, info.size or 0, not info.is_file)  # type: ignore[attr-defined]


def _delete(path: str) -> None:
    try:
        _connect().delete_file(path)
    except FileNotFoundError:
        return


def _missing(url: str) -> NotFoundError:
    return NotFoundError("an object must be there to be read", place=url)


def _translate(error: OSError, url: str) -> ClosecastError:
    """Say in our words what the store refused; the store's own text stays in the cause alone."""
    if isinstance(error, FileNotFoundError):
        return _missing(url)
    code = found.group(1) if (found := _CODE.search(str(error))) else type(error).__name__
    if "NO_SUCH_BUCKET" in code:
        return InputError("the bucket of an s3:// address must exist", value=code, place=url)
    if any(word in code for word in _REFUSED):
        return InputError("the store's credentials must permit this", value=code, place=url)
    if any(word in code for word in _TRANSIENT) or "HTTP status 5" in code or "AWS" not in str(error):
        asked = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "AWS"
        asked = re.sub(r"//.*@", "//", asked)  # an endpoint may hold a user and a password
        return UnavailableError("the object store must answer", value=f"{code} from {asked}", place=url)
    return ClosecastError("the object store must do what it is asked", value=code, place=url)


def copy_file(path: Path, out: Path | str, *, retry_s: float) -> str:
    """Copy a file to a path or an s3:// address, whole or not at all; return this."""
    with path.open("rb") as stream:
        if is_object_url(str(out)):
            ObjectStore(retry_s=retry_s).write(stream, str(out))
        else:
            with open_placed(Path(out)) as copy:
                shutil.copyfileobj(stream, copy, 1 << 20)
    return str(out)
