"""Whole uploads: every form, each dirt, the files that really came, and what a broken file is told."""

from __future__ import annotations

import gzip
import hashlib
import json
import multiprocessing
import os
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import InputError
from include.settings import PROJECT_ROOT
from include.uploads.read import Upload, list_uploads, read_upload

ANSWERS = PROJECT_ROOT / "tests" / "data" / "uploads"
HEADER = "symbol,date,open,high,low,close,volume,market_cap\n"
ROW = "AAA,2018-06-01,1,2,0.5,1.5,10,100\n"
COLUMNS = ["symbol", "date", "open", "high", "low", "close", "volume", "market_cap"]


def write(folder: Path, content: str | bytes, name: str = "day.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read_text(folder: Path, content: str | bytes, name: str = "day.csv", **options: object) -> Upload:
    return read_upload(write(folder, content, name), **options)


def bars_of(upload: Upload) -> list[list[object]]:
    rows = [list(row.values()) for row in upload.bars.to_table().to_pylist()]
    return [[cell.isoformat() if isinstance(cell, date) else cell for cell in row] for row in rows]


def refused_of(upload: Upload) -> list[list[object]]:
    rows = [list(row.values())[:5] for row in upload.refused.to_table().to_pylist()]
    return [[cell.isoformat() if isinstance(cell, date) else cell for cell in row] for row in rows]


@pytest.mark.parametrize("name", ["website", "desk", "dirty"])
def test_answer_files_are_read_as_worked_by_hand(name: str) -> None:
    path = ANSWERS / f"{name}.csv"
    expected = json.loads((ANSWERS / f"{name}.expected.json").read_text())
    upload = read_upload(path)
    assert bars_of(upload) == expected["bars"]
    assert refused_of(upload) == expected["refused"]
    assert upload.rows == expected["rows"] == upload.bars.num_rows + upload.refused.num_rows
    assert upload.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (upload.name, upload.size_bytes) == (path.name, path.stat().st_size)


def test_refused_row_keeps_its_accepted_columns_as_they_came() -> None:
    raw = [json.loads(row) for row in read_upload(ANSWERS / "dirty.csv").refused.to_table()["raw"].to_pylist()]
    cells = {"symbol": "CCC", "date": "2018-06-01", "open": "1", "high": "1,2", "low": "0.5", "close": "1.5"}
    assert raw[1] == cells | {"volume": "10", "market_cap": "100"}
    assert raw[3] == {"line": "DDD,2018-06-01,1,2,0.5"}


@pytest.mark.parametrize("cell", ["-", "", "NaN", "inf"])
def test_refused_cell_of_a_plain_file_is_shown_as_it_came(tmp_path: Path, cell: str) -> None:
    upload = read_text(tmp_path, HEADER + ROW + ROW.replace(",2,", f",{cell},"))
    assert json.loads(upload.refused.to_table()["raw"][0].as_py())["high"] == cell
    assert f"Received: {cell!r}" in upload.refused.to_table()["reason"][0].as_py()


def test_schemas_are_the_promised_ones() -> None:
    upload = read_upload(ANSWERS / "dirty.csv")
    numbers = dict.fromkeys(COLUMNS[2:], pa.float64())
    expected = {"row_number": pa.int64(), "symbol": pa.string(), "session": pa.date32(), **numbers}
    assert dict(zip(upload.bars.to_table().schema.names, upload.bars.to_table().schema.types, strict=True)) == expected
    assert upload.refused.to_table().schema.names == ["row_number", "symbol", "session", "expectation", "reason", "raw"]


@pytest.mark.parametrize("name", ["website", "desk", "dirty"])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_compression_changes_nothing_but_the_hash(tmp_path: Path, name: str, compression: str) -> None:
    plain = ANSWERS / f"{name}.csv"
    packed = (
        pa.compress(plain.read_bytes(), "zstd", asbytes=True)
        if compression == "zstd"
        else gzip.compress(plain.read_bytes())
    )
    path = write(tmp_path, packed, "day.csv.zst" if compression == "zstd" else "day.csv.gz")
    upload, expected = read_upload(path), read_upload(plain)
    assert upload.bars.to_table().equals(expected.bars.to_table())
    assert upload.refused.to_table().equals(expected.refused.to_table())
    assert upload.sha256 == hashlib.sha256(packed).hexdigest()


def test_gzip_in_several_members_is_one_file(tmp_path: Path) -> None:
    parts = gzip.compress((HEADER + ROW).encode()) + gzip.compress(ROW.encode())
    assert read_text(tmp_path, parts, "day.csv.gz").rows == 2


DAY = date(2018, 6, 1)


@pytest.mark.parametrize(
    "days",
    [
        pa.array([DAY]),
        pa.array([DAY], pa.date64()),
        pa.array([datetime(2018, 6, 1)], pa.timestamp("ns")),
        pa.array([datetime(2018, 6, 1)], pa.timestamp("us", tz="UTC")),
        pa.array(["2018-06-01"], pa.large_string()),
        pa.array(["Jun 1, 2018"]).dictionary_encode(),
    ],
    ids=lambda days: str(days.type),
)
@pytest.mark.parametrize(
    "price",
    [
        pa.array([3.0]),
        pa.array([3]),
        pa.array([Decimal("3.00")]),
        pa.array(["3"]),
        pa.array([3.0], pa.float32()),
        pa.array([" 3.0 "]).dictionary_encode(),
    ],
    ids=lambda price: str(price.type),
)
def test_parquet_types_are_read_alike(tmp_path: Path, days: pa.Array, price: pa.Array) -> None:
    table = pa.table({"Ticker": ["AAA"], "session": days, "OPEN": price, "high": price, "low": price, "close": price})
    pq.write_table(table, tmp_path / "day.parquet")
    upload = read_upload(tmp_path / "day.parquet")
    assert bars_of(upload) == [[1, "AAA", "2018-06-01", 3.0, 3.0, 3.0, 3.0, None, None]]
    assert upload.sha256 == hashlib.sha256((tmp_path / "day.parquet").read_bytes()).hexdigest()


def test_parquet_rows_are_refused_like_csv_rows(tmp_path: Path) -> None:
    prices = [1.0, float("nan"), None, float("inf")]
    table = pa.table(
        {"symbol": ["A", "B", None, "D"], "date": [DAY] * 4, "open": prices} | {c: [1.0] * 4 for c in COLUMNS[3:]}
    )
    pq.write_table(table, tmp_path / "day.parquet")
    upload = read_upload(tmp_path / "day.parquet")
    refused = [row[:4] for row in refused_of(upload)]
    assert refused == [
        [2, "B", "2018-06-01", "price_not_null"],
        [3, None, "2018-06-01", "symbol_not_null"],
        [4, "D", "2018-06-01", "number_is_readable"],
    ]
    assert json.loads(upload.refused.to_table()["raw"][0].as_py())["open"] == "nan"
    assert upload.bars.num_rows == 1


def test_symbol_wins_over_coin_and_coin_over_name(tmp_path: Path) -> None:
    assert read_text(tmp_path, "name,Coin," + HEADER + "n,c," + ROW).bars.to_table()["symbol"].to_pylist() == ["AAA"]
    content = "name,Coin," + HEADER.replace("symbol", "x") + "n,c," + ROW
    assert read_text(tmp_path, content).bars.to_table()["symbol"].to_pylist() == ["c"]


def test_blank_lines_and_a_missing_last_line_end_change_no_row_number(tmp_path: Path) -> None:
    upload = read_text(tmp_path, "\r\n\n" + HEADER + "\n" + ROW + "\n\nA,2018-06-01,1\n" + ROW.rstrip())
    assert upload.bars.to_table()["row_number"].to_pylist() == [1, 3]
    assert upload.refused.to_table()["row_number"].to_pylist() == [2]


def test_row_numbers_hold_across_blocks(tmp_path: Path) -> None:
    lines = [ROW] * 200_000
    lines[150_000] = "short,2018-06-01\n"
    lines[170_000] = ROW.replace("1.5", "?")
    upload = read_text(tmp_path, HEADER + "".join(lines))
    assert upload.refused.to_table()["row_number"].to_pylist() == [150_001, 170_001]
    assert upload.bars.to_table()["row_number"].to_pylist() == sorted({*range(1, 200_001)} - {150_001, 170_001})


def test_progress_ends_at_the_files_size(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    upload = read_text(tmp_path, HEADER + ROW, on_progress=lambda done, total, _: calls.append((done, total)))
    assert calls[-1] == (upload.size_bytes, upload.size_bytes)


def test_words_that_mean_missing_elsewhere_are_symbols(tmp_path: Path) -> None:
    symbols = ["None", "NaN", "null", "N/A", "=HYPERLINK(1)", "../x", "été", "-"]
    content = HEADER + "".join(ROW.replace("AAA", symbol) for symbol in symbols)
    assert read_text(tmp_path, content).bars.to_table()["symbol"].to_pylist() == symbols


SLASHES = "".join(ROW.replace("2018-06-01", day) for day in ("2/3/2018", "2/3/2018", "4/4/2018"))


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({"date_order": "M/D"}, "2018-02-03"),
        ({"date_order": "D/M"}, "2018-03-02"),
        ({"expected_session": date(2018, 3, 2)}, "2018-03-02"),
        ({"expected_session": date(2018, 2, 3)}, "2018-02-03"),
    ],
)
def test_open_order_is_settled_by_the_setting_or_the_session(
    tmp_path: Path, options: dict[str, object], first: str
) -> None:
    sessions = read_text(tmp_path, HEADER + SLASHES, **options).bars.to_table()["session"].to_pylist()
    assert [day.isoformat() for day in sessions] == [first, first, "2018-04-04"]


BROKEN = {
    "empty": (b"", "must not be empty"),
    "blank lines": (b"\n\n", "must have a header"),
    "header only": (HEADER.encode(), "at least one row"),
    "header without line end": (HEADER.strip().encode(), "at least one row"),
    "no symbol": (
        b"slug,date,open,high,low,close\na,2018-06-01,1,1,1,1\n",
        "column for symbol.*symbol or coin.*slug, date",
    ),
    "no close": (b"symbol,date,open,high,low\nA,2018-06-01,1,1,1\n", "column for close"),
    "header twice": (b"Open," + HEADER.encode() + b"1," + ROW.encode(), "once: open. Received: Open, open"),
    "zero bytes": (bytes(range(256)) * 9, "must be"),
    "utf-16": ((HEADER + ROW).encode("utf-16"), "UTF-8 text. Received: UTF-16"),
    "latin-1 symbol": ((HEADER + ROW).encode() + b"caf\xe9,", "UTF-8 text. Received: byte 0xe9 at offset 87, line 3"),
    "not a date": (
        (HEADER + ROW + ROW.replace("06-01", "13-45")).encode(),
        "'2018-13-45' .in day.csv, row 2; nothing written",
    ),
    "soon": ((HEADER + ROW.replace("2018-06-01", "soon")).encode(), "a date must be.*'soon'"),
    "no date": ((HEADER + ROW.replace("2018-06-01", "")).encode(), "a date must be.*''"),
    "open order": ((HEADER + SLASHES).encode(), "CLOSECAST_DATE_ORDER.*'2/3/2018' in row 1"),
    "open quote": ((HEADER + ROW + '"AAA' + ROW[3:] + ROW).encode(), "each row must be one line"),
    "open quote in an extra column": (
        ("note," + HEADER + "x," + ROW + '"x,' + ROW + '"y,' + ROW).encode(),
        "each row must be one line",
    ),
    "open quote beside a lone carriage return": (
        (HEADER + ROW * 2 + '0\r"' + ROW[3:] + "A").encode(),
        "each row must be one line",
    ),
    "open quote in the last line": (("note," + HEADER + "x," + ROW + '"y,' + ROW).encode(), "a quote that stays open"),
    "open quote in the last cell": (
        (HEADER.strip() + ",note\n" + ROW.strip() + ",x\n" + ROW.strip() + ',"x\n').encode(),
        "a quote that stays open",
    ),
    "line break in a cell": (("note," + HEADER + '"x\ny",' + ROW).encode(), "2 lines that read as 1 rows"),
    "date without marks": ((HEADER + ROW.replace("2018-06-01", "20180625")).encode(), "a date must be.*'20180625'"),
    "week": ((HEADER + ROW.replace("2018-06-01", "2018-W25-1")).encode(), "a date must be.*'2018-W25-1'"),
    "open quote in the header": (('"' + HEADER + ROW).encode(), "close every quote"),
}


@pytest.mark.parametrize(("content", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_csv_is_told_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_text(tmp_path, content)
    assert "day.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.csv.gz", gzip.compress((HEADER + ROW * 9000).encode())[:-30]),
        ("tail.csv.gz", gzip.compress((HEADER + ROW).encode()) + b"more"),
        ("cut.csv.zst", pa.compress((HEADER + ROW * 9000).encode(), "zstd", asbytes=True)[:-9]),
        ("lies.csv.gz", (HEADER + ROW).encode()),
        ("lies.parquet", (HEADER + ROW).encode()),
        ("hollow.parquet", b"PAR1" + bytes(400) + b"PAR1"),
        ("empty.csv.gz", gzip.compress(b"")),
    ],
)
def test_damaged_containers_are_told_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(InputError, match="must") as caught:
        read_text(tmp_path, content, name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parquet_damage_is_told_wherever_it_is(tmp_path: Path) -> None:
    table = pa.table({"symbol": ["A"] * 9999, "date": [DAY] * 9999} | {c: list(range(9999)) for c in COLUMNS[2:]})
    pq.write_table(table, tmp_path / "whole.parquet", compression="zstd", use_dictionary=False)
    whole = (tmp_path / "whole.parquet").read_bytes()
    for damaged in (whole[:-20], whole[: len(whole) // 2], whole[:100] + b"\xff" * 20000 + whole[20100:]):
        with pytest.raises(InputError, match="Parquet upload must be whole"):
            read_text(tmp_path, damaged, "day.parquet")


@pytest.mark.parametrize(
    ("column", "values"),
    [("date", [20180601]), ("open", [True]), ("symbol", [[1]]), ("close", [DAY])],
)
def test_parquet_column_of_the_wrong_type_is_named(tmp_path: Path, column: str, values: list[object]) -> None:
    good = {"symbol": ["A"], "date": [DAY]} | {name: [1.0] for name in COLUMNS[2:]}
    pq.write_table(pa.table(good | {column: values}), tmp_path / "day.parquet")
    with pytest.raises(InputError, match=f"day.parquet, column {column}"):
        read_upload(tmp_path / "day.parquet")


def test_missing_path_and_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a file, or a folder closed by _SUCCESS"):
        read_upload(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="must be closed by a file _SUCCESS"):
        read_upload(tmp_path)


def test_list_uploads_leaves_out_what_is_not_finished(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv.gz", ".hidden.csv", "c.csv.tmp", "d.part"):
        write(tmp_path, ROW, name)
    (tmp_path / "folder").mkdir()
    assert [path.name for path in list_uploads(tmp_path)] == ["a.csv.gz", "b.csv"]
    assert list_uploads(tmp_path / "b.csv") == [tmp_path / "b.csv"]


def test_list_uploads_needs_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one file"):
        list_uploads(tmp_path)
    with pytest.raises(InputError, match="can be read"):
        list_uploads(tmp_path / "absent")


def _read_without_rights(path: Path, answers: multiprocessing.Queue[str]) -> None:
    if os.geteuid() == 0:
        os.setuid(65534)
    for act in (list_uploads, read_upload):
        try:
            act(path)
        except InputError as error:
            answers.put(str(error))


def test_a_path_without_rights_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_read_without_rights, args=(closed, answers))
    child.start()
    told = [answers.get(timeout=30) for _ in range(2)]
    child.join()
    assert all("must be a file" in line and "Permission denied" in line and "closed" in line for line in told)


CELLS = st.one_of(
    st.text(alphabet='01.,"-+eE\n\r /x é\x00', max_size=6), st.sampled_from(["AAA", "2018-06-01", "1.5", "-"])
)


@settings(max_examples=300, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 7), CELLS), max_size=5), data=st.data())
def test_no_row_is_lost_under_any_change(tmp_path_factory: pytest.TempPathFactory, changes, data) -> None:
    rows = [ROW.strip().split(",") for _ in range(5)]
    for row, column, cell in changes:
        rows[row][column] = cell
    content = HEADER + "".join(",".join(row) + "\n" for row in rows)
    cut = data.draw(st.integers(len(HEADER), len(content)))
    content = content[:cut] if data.draw(st.booleans()) else content
    lines = [line for line in content.encode().splitlines() if line]
    try:
        upload = read_text(tmp_path_factory.getbasetemp(), content)
    except InputError:
        return
    assert upload.rows == upload.bars.num_rows + upload.refused.num_rows == len(lines) - 1
    numbers = upload.bars.to_table()["row_number"].to_pylist() + upload.refused.to_table()["row_number"].to_pylist()
    assert sorted(numbers) == list(range(1, upload.rows + 1))


def _as_number(text: str) -> float:
    return float("nan") if text == "-" else float(text.replace(",", ""))


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "rows", "date_format"),
    [
        ("crypto_daily_cmc_2018h1_raw.csv.gz", 251_969, "%b %d, %Y"),
        ("crypto_markets_kaggle_excerpt_2016_2018.csv.gz", 38_886, "%m/%d/%Y"),
    ],
)
def test_real_csv_agrees_with_pandas(shared_data: Path, name: str, rows: int, date_format: str) -> None:
    other = pd.read_csv(shared_data / name, dtype=str, keep_default_na=False, encoding="utf-8")
    other.columns = [column.strip("*").lower().replace(" cap", "") for column in other.columns]
    upload = read_upload(shared_data / name)
    bars = upload.bars.to_table().to_pandas()
    assert (upload.rows, len(bars), upload.refused.num_rows) == (rows, rows, 0)
    assert bars["symbol"].tolist() == other["coin" if "coin" in other else "name"].tolist()
    days = pd.to_datetime(other["date"], format=date_format)
    assert (pd.to_datetime(bars["session"]).to_numpy() == days.to_numpy()).all()
    for column, theirs in zip(COLUMNS[2:], [*COLUMNS[2:7], "market"], strict=True):
        expected = other[theirs].map(_as_number)
        pd.testing.assert_series_equal(bars[column], expected, check_names=False, check_exact=True)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "rows", "symbols"),
    [("crypto_daily_cmc_2013_2018.parquet", 336_905, 1_606), ("us_daily_2015_2017.parquet", 3_711_581, 8_507)],
)
def test_real_parquet_agrees_with_pandas(shared_data: Path, name: str, rows: int, symbols: int) -> None:
    other = pd.read_parquet(shared_data / name, columns=["symbol", "date", "close", "volume"])
    upload = read_upload(shared_data / name)
    assert (upload.rows, upload.bars.num_rows, upload.refused.num_rows) == (rows, rows, 0)
    bars = upload.bars.to_table()
    assert bars["symbol"].to_numpy().tolist() == other["symbol"].tolist()
    assert len(bars["symbol"].unique()) == symbols
    assert (bars["session"].to_numpy() == pd.to_datetime(other["date"]).to_numpy()).all()
    for column in ("close", "volume"):
        theirs = pd.Series(other[column].to_numpy())
        pd.testing.assert_series_equal(bars[column].to_pandas(), theirs, check_names=False, check_exact=True)
