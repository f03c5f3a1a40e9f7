"""What is said of a disk that refuses; real refusals are tried in tests/include/ingest/test_kills.py."""

from __future__ import annotations

import errno

import pytest
from deltalake.exceptions import CommitFailedError, DeltaError

from include.disk import explain_disk
from include.errors import ClosecastError, InputError, UnavailableError

FULL = "Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)"


def raise_inside(error: BaseException) -> None:
    with explain_disk("the lake", "/home/lake"):
        raise error


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space"), OSError(FULL), DeltaError(FULL), OSError("[errno 122] Quota")]
)
def test_no_room(error: Exception) -> None:
    with pytest.raises(UnavailableError, match=r"there must be room for the lake; .* \(in /home/lake\)"):
        raise_inside(error)


def test_no_right_names_the_file_where_it_is_known() -> None:
    with pytest.raises(InputError, match=r"the lake must be writable. Received: .* \(in /home/lake/.ingest.lock\)"):
        raise_inside(PermissionError(errno.EACCES, "Permission denied", "/home/lake/.ingest.lock"))
    with pytest.raises(InputError, match=r"\(in /home/lake\)"):
        raise_inside(DeltaError("Permission denied (os error 13)"))


@pytest.mark.parametrize("error", [CommitFailedError("two writers"), ValueError("(os error 28)"), InputError("a rule")])
def test_any_other_error_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        raise_inside(error)
    assert raised.value is error
    assert isinstance(error, InputError) or not isinstance(raised.value, ClosecastError)
