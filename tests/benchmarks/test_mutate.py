"""Spoilt uploads end in counted rows or in one named error; the benchmark form reads ten thousand."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from benchmarks.mutate import Counts, read_rows, run_mutations
from benchmarks.mutations import load_originals, mutate
from include.settings import PROJECT_ROOT

FILES = 200


def test_spoilt_uploads_end_in_counted_rows_or_one_named_error() -> None:
    data = Path(os.environ.get("CLOSECAST_SHARED_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    found = list(run_mutations(read_rows, range(FILES), seed=4, shared_data=data if data.is_dir() else None))
    assert [result for result, _ in found if not result.is_explained] == []
    assert [result.index for result, _ in found] == list(range(FILES))
    kinds = Counter(result.outcome.split(":")[0] for result, _ in found)
    assert set(kinds) == {"all rows accepted", "some rows refused", "refused"}
    assert min(kinds.values()) > 5
    assert max(peak for _, peak in found) < 1.0


def die_or_lie(path: Path) -> Counts:
    """Do what must be found out: lose a row, fail otherwise, die."""
    content = path.read_bytes()
    if len(content) % 4 == 0:
        return Counts(rows=2, accepted=1, refused=0)
    if len(content) % 4 == 1:
        raise ValueError("otherwise")
    if len(content) % 4 == 2:
        os.abort()
    return Counts(rows=1, accepted=1, refused=0)


def test_a_reader_that_dies_or_lies_is_found_out() -> None:
    found = [result for result, _ in run_mutations(die_or_lie, range(12), seed=4, shared_data=None)]
    sizes = [len(mutate(load_originals(None), 4, index)[1]) % 4 for index in range(12)]
    assert set(sizes) == {0, 1, 2, 3}
    assert [result.index for result in found] == list(range(12))
    starts = {0: "counts do not add up", 1: "ValueError", 2: "child died with -6", 3: "all rows accepted"}
    assert [result.outcome.startswith(starts[size]) for result, size in zip(found, sizes, strict=True)] == [True] * 12
    assert [result.is_explained for result in found] == [size == 3 for size in sizes]


def test_the_same_seed_spoils_alike() -> None:
    originals = load_originals(None)
    first = [mutate(originals, 1, index) for index in range(30)]
    assert first == [mutate(originals, 1, index) for index in range(30)]
    assert first != [mutate(originals, 2, index) for index in range(30)]
