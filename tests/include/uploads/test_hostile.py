"""Uploads that mean harm, wide ones, and folders of parts: rows are counted, limits hold, one error names the rule."""

from __future__ import annotations

import gzip
import hashlib
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.errors import InputError
from include.uploads import csv_reader, parquet_reader, row_store, rows, stream
from include.uploads.read import list_uploads, read_upload

HEADER = "symbol,date,open,high,low,close,volume,market_cap\n"
ROW = "AAA,2018-06-01,1,2,0.5,1.5,10,100\n"


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows_for(*symbols: str) -> str:
    return "".join(ROW.replace("AAA", symbol) for symbol in symbols)


@pytest.mark.parametrize("symbol", ["A\0B", "A\x1fB", "A\x7f", "x" * 201])
def test_a_symbol_must_be_text_of_a_sensible_length(tmp_path: Path, symbol: str) -> None:
    upload = read_upload(write(tmp_path / "day.csv", HEADER + rows_for("B", symbol, "C", "x" * 200, "../x", "=A1")))
    assert upload.bars.to_table()["symbol"].to_pylist() == ["B", "C", "x" * 200, "../x", "=A1"]
    refused = upload.refused.to_table().to_pylist()
    assert [(row["row_number"], row["expectation"]) for row in refused] == [(2, "symbol_is_text")]
    assert json.loads(refused[0]["raw"])["symbol"] == symbol


def test_symbols_may_not_fill_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_MAX_SYMBOLS", 2)
    path = write(tmp_path / "day.csv", HEADER + rows_for("A", "B", "A", "", "\0"))
    assert read_upload(path).rows == 5  # refused symbols don't count
    with pytest.raises(InputError, match=r"at most 2 distinct symbols.*day\.csv"):
        read_upload(write(path, HEADER + rows_for("A", "B", "C")))


def test_a_session_of_too_many_rows_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_store, "SESSION_ROWS", 100_000)
    done: list[int] = []
    path = write(tmp_path / "day.csv", HEADER + ROW * 1_800_000)
    with pytest.raises(InputError, match=r"at most 100,000 rows a session. Received: .* of one date .in day\.csv"):
        read_upload(path, on_progress=lambda now, *_: done.append(now))
    assert done[-1] < path.stat().st_size


def test_an_extra_column_may_be_of_any_encoding(tmp_path: Path) -> None:
    content = ("note," + HEADER + "caf\xe9," + ROW + "short\n").encode("latin-1")
    upload = read_upload(write(tmp_path / "day.csv", content))
    assert (upload.bars.num_rows, upload.refused.num_rows) == (1, 1)
    with pytest.raises(InputError, match="UTF-8 text. Received: byte 0xe9 at offset 53, line 2"):
        read_upload(write(tmp_path / "day.csv", (HEADER + "caf\xe9" + ROW).encode("latin-1")))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_line_ends_of_every_kind(tmp_path: Path, end: str, quote: str) -> None:
    lines = [HEADER.strip(), ROW.strip(), "", f"{quote}B{quote}" + ROW.strip()[3:], "C,2018-06-01"]
    upload = read_upload(write(tmp_path / "day.csv", end.join(lines)))
    assert upload.bars.to_table()["symbol"].to_pylist() == ["AAA", "B"]
    assert upload.refused.to_table()["row_number"].to_pylist() == [3]


def test_rows_of_very_many_columns(tmp_path: Path) -> None:
    width = 5000
    names = [f"x{number}" for number in range(width)]
    header = ",".join([*names[:700], "close,low,symbol", *names[700:], "date,open,high\n"])
    cells = ["7"] * width
    rows = [",".join([*cells[:700], f"1.5,0.5,{symbol}", *cells[700:], "2018-06-01,1,2"]) for symbol in ("A", "B", "C")]
    rows[1] = rows[1][:-4]  # two fields short
    content = header + "\n\n".join(rows)
    upload = read_upload(write(tmp_path / "day.csv", content))
    assert [list(row.values())[1:7] for row in upload.bars.to_table().drop_columns("session").to_pylist()] == [
        [symbol, 1.0, 2.0, 0.5, 1.5, None] for symbol in ("A", "C")
    ]
    assert upload.refused.to_table()["row_number"].to_pylist() == [2]
    quoted = content.replace(",B,", ',"B",')
    assert read_upload(write(tmp_path / "quoted.csv", quoted)).bars.to_table().equals(upload.bars.to_table())


def test_a_header_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "_HEADER_BYTES", 1 << 20)
    with pytest.raises(InputError, match=r"header must not be longer.*day\.csv"):
        read_upload(write(tmp_path / "day.csv", b"x," * (3 << 20)))


def test_a_line_without_an_end_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "ROW_BYTES", 1 << 20)
    done: list[int] = []
    path = write(tmp_path / "day.csv", HEADER.encode() + b"x" * (20 << 20))
    with pytest.raises(InputError, match=r"a row must not be longer.*day\.csv"):
        read_upload(path, on_progress=lambda now, *_: done.append(now))
    assert done[-1] < 10 << 20


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "UNPACKED_FREE_BYTES", 1 << 20)
    packed = gzip.compress(HEADER.encode() + ROW.encode() + b"\n" * (16 << 20))
    with pytest.raises(InputError, match=r"must not unpack to more than 200 times.*day\.csv\.gz"):
        read_upload(write(tmp_path / "day.csv.gz", packed))


def parquet_bytes(folder: Path, **columns: list[object]) -> bytes:
    good: dict[str, list[object]] = {"symbol": ["A", "B"], "date": ["2018-06-01"] * 2}
    good |= {name: [1.0, 2.0] for name in ("open", "high", "low", "close")}
    pq.write_table(pa.table(good | columns), folder / "made.parquet")
    return (folder / "made.parquet").read_bytes()


def test_every_spoilt_byte_of_a_footer_ends_in_rows_or_one_error(tmp_path: Path) -> None:
    whole = parquet_bytes(tmp_path)
    random = np.random.default_rng(1)
    read, tried = 0, range(len(whole) - 1500, len(whole), 25)
    for at in tried:
        spoilt = bytearray(whole)
        spoilt[at] ^= 1 << int(random.integers(8))
        path = write(tmp_path / "day.parquet", bytes(spoilt))
        with suppress(InputError):
            upload = read_upload(path)
            assert upload.rows == upload.bars.num_rows + upload.refused.num_rows == 2
            read += 1
    assert 0 < read < len(tried)


def test_a_parquet_column_may_not_unpack_to_more_than_its_rows_can_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_reader, "_CHUNK_BYTES", 1 << 10)
    path = write(tmp_path / "day.parquet", parquet_bytes(tmp_path, symbol=["A" * 9000, "B"]))
    with pytest.raises(InputError, match=r"not take more than 1 KiB a row.*day\.parquet, column symbol"):
        read_upload(path)
    path = write(tmp_path / "day.parquet", parquet_bytes(tmp_path, extra=["A" * 9000, "B"]))
    assert read_upload(path).rows == 2


def test_a_parquet_footer_has_a_longest_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "day.parquet", parquet_bytes(tmp_path))
    monkeypatch.setattr(parquet_reader, "_FOOTER_BYTES", 100)
    with pytest.raises(InputError, match=r"footer must not be longer.*day\.parquet"):
        read_upload(path)


def test_an_encrypted_parquet_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must not be encrypted.*day\.parquet"):
        read_upload(write(tmp_path / "day.parquet", b"PARE" + bytes(40) + b"PARE"))


def test_a_parquet_file_with_other_rows_than_it_promises_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "day.parquet", parquet_bytes(tmp_path))
    iter_batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", lambda *args, **options: (b.slice(1) for b in iter_batches(*args, **options))
    )
    with pytest.raises(InputError, match="must be whole. Received: 1 rows where 2 are promised"):
        read_upload(path)


def make_folder(folder: Path, tmp_path: Path) -> Path:
    write(
        folder / "part-1.csv", "volume," + HEADER.replace(",volume", "") + "9,B,2018-06-02,1,2,0.5,1.5,100\n9,C,2018\n"
    )
    write(folder / "part-0.csv.gz", gzip.compress((HEADER + ROW).encode()))
    write(folder / "part-2.parquet", parquet_bytes(tmp_path))
    write(folder / "_SUCCESS", b"")
    return folder


def test_a_folder_of_parts_is_one_upload(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "day", tmp_path)
    done: list[tuple[int, int]] = []
    upload = read_upload(folder, on_progress=lambda *call: done.append(call[:2]))
    parts = [folder / name for name in ("part-0.csv.gz", "part-1.csv", "part-2.parquet")]
    hashes = "\n".join(hashlib.sha256(part.read_bytes()).hexdigest() for part in parts)
    assert upload.sha256 == hashlib.sha256(hashes.encode()).hexdigest()
    assert (upload.name, upload.rows) == ("day", 5)
    assert upload.size_bytes == sum(part.stat().st_size for part in parts) == done[-1][0] == done[-1][1]
    assert upload.bars.to_table()["row_number"].to_pylist() == [1, 2, 4, 5]
    assert upload.bars.to_table()["volume"].to_pylist() == [10.0, 9.0, None, None]
    [refused] = upload.refused.to_table().to_pylist()
    assert refused["row_number"] == 3
    assert refused["reason"].startswith("part-1.csv: a row must have as many fields")
    folder.rename(tmp_path / "other")
    assert read_upload(tmp_path / "other").sha256 == upload.sha256


def test_a_fault_of_a_part_names_the_part(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "day", tmp_path)
    write(folder / "part-3.csv", "a,b\n1,2\n")
    with pytest.raises(InputError, match=r"column for symbol.*part-3\.csv"):
        read_upload(folder)


def test_forms_of_date_do_not_mix_across_parts(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "day", tmp_path)
    write(folder / "part-3.csv", HEADER + ROW.replace("2018-06-01", "6/25/2018"))
    with pytest.raises(InputError, match=r"one form of date.*'6/25/2018' in row 6 .slash"):
        read_upload(folder)


def test_a_closed_folder_is_listed_as_one_upload(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "inbox" / "day", tmp_path) if (tmp_path / "inbox").mkdir() is None else tmp_path
    write(tmp_path / "inbox" / "open" / "part-0.csv", HEADER + ROW)
    write(tmp_path / "inbox" / "a.csv", HEADER + ROW)
    assert list_uploads(tmp_path / "inbox") == [tmp_path / "inbox" / "a.csv", folder]
    assert list_uploads(folder) == [folder]


def test_rows_beyond_memory_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.uploads.row_store.BarStore.__init__.__defaults__", (None, 0))
    path = write(tmp_path / "day.csv", HEADER + rows_for("A", "B") + ROW.replace("-06-", "-05-"))
    with read_upload(path, scratch=tmp_path / "scratch") as upload:
        assert [group["session"][0].as_py().month for group in upload.bars.groups(1)] == [5, 6]
        assert list((tmp_path / "scratch").iterdir()) == []
