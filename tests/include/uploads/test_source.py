"""Files and folders of parts as sources: what counts as a part, and what is told where there is nothing to read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from include.errors import InputError
from include.uploads.source import (
    SUCCESS,
    LocalFolder,
    LocalSource,
    hash_parts,
    is_closed_folder,
    is_part,
    open_local,
)


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


def test_a_file_is_read_in_order_and_here_and_there(tmp_path: Path) -> None:
    source = LocalSource(fill(tmp_path, "day.csv") / "day.csv")
    assert (source.name, source.size_bytes, list(source.parts)) == ("day.csv", 7, [])
    with source.open_stream() as stream:
        assert [stream.read(4), stream.read(4), stream.read(4)] == [b"day.", b"csv", b""]
    with source.open_random() as file:
        assert file.read_at(3, 4) == b"csv"


def test_a_folder_gives_its_parts_in_name_order(tmp_path: Path) -> None:
    names = ("b.csv", "a.csv", SUCCESS, "_committed_1", ".crc", "_c.csv.tmp", ".d.part")
    folder = fill(tmp_path / "day", *names)
    (folder / "_temporary").mkdir()
    source = open_local(folder)
    assert isinstance(source, LocalFolder)
    assert [part.name for part in source.parts] == ["a.csv", "b.csv"]
    assert (source.name, source.size_bytes) == ("day", 10)
    for act in (source.open_stream, source.open_random):
        with pytest.raises(InputError, match="part by part"):
            act()


def test_a_folder_that_is_not_closed_is_no_upload(tmp_path: Path) -> None:
    folder = fill(tmp_path / "day", "a.csv")
    assert not is_closed_folder(folder)
    with pytest.raises(InputError, match="must be closed by a file _SUCCESS.*day"):
        open_local(folder)
    fill(folder, SUCCESS)
    assert is_closed_folder(folder)
    (folder / "a.csv").unlink()
    with pytest.raises(InputError, match="at least one part"):
        open_local(folder)


def test_a_closed_folder_with_what_would_not_be_read_is_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "day", "a.csv", SUCCESS)
    fill(folder / "deeper", "b.csv")
    with pytest.raises(InputError, match=r"finished files alone.*Received: deeper/ \(in day\)"):
        open_local(folder)
    fill(folder, "c.csv.part", "d.tmp")
    with pytest.raises(InputError, match="Received: c.csv.part, d.tmp, deeper/"):
        open_local(folder)


def test_a_name_that_is_no_utf_8_can_be_written(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/2018-06-01\xff.csv"))
    path.write_bytes(b"bytes")
    source = LocalSource(path)
    assert source.name == "2018-06-01\\udcff.csv"
    with source.open_stream() as stream, source.open_random() as file:
        assert stream.read(9) == file.read() == b"bytes"
    fill(tmp_path / "day", SUCCESS)
    path.rename(tmp_path / "day" / path.name)
    assert [part.name for part in open_local(tmp_path / "day").parts] == [source.name]


def test_nothing_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be a file.*nothing there.*absent\.csv"):
        open_local(tmp_path / "absent.csv")
    source = LocalSource(fill(tmp_path, "day.csv") / "day.csv")
    source.path.unlink()
    for act in (source.open_stream, source.open_random):
        with pytest.raises(InputError, match=r"must be a file.*No such file.*day\.csv"):
            act()


def test_hash_of_parts_is_that_of_their_hashes_in_order() -> None:
    first, second = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()
    assert hash_parts([first, second]) == hashlib.sha256(f"{first}\n{second}".encode()).hexdigest()
    assert hash_parts([second, first]) != hash_parts([first, second])


@pytest.mark.parametrize("name", [SUCCESS, "_metadata", ".part-0.crc", "x.tmp", "x.part"])
def test_markers_are_no_parts(name: str) -> None:
    assert not is_part(name)
    assert is_part("part-0.parquet")
