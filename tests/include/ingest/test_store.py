"""Keeping uploads: by hash, read-only, whole or not at all, from anywhere to anywhere."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import random
import stat
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from include.errors import InputError, NotFoundError, UnavailableError
from include.ingest.inbox import address_of, list_waiting, open_source
from include.ingest.store import find_kept, keep_upload, open_kept
from include.object_store import ObjectStore
from include.settings import PROJECT_ROOT, Settings
from include.uploads.source import LocalSource, Source, hash_parts

DATA = os.urandom(300_000)
STORE = ObjectStore(retry_s=5)
PARTS = {"b.csv": b"second", "a.csv": DATA}

KEEP = """
import os, resource, signal, sys
from pathlib import Path
from include.ingest.inbox import open_source
from include.ingest.store import keep_upload
from include.settings import Settings
settings = Settings(home=Path(sys.argv[1]), _env_file=None)
source = open_source(sys.argv[2])
if sys.argv[4] == "limited":
    # The kernel refuses a file above 100 kB, as a full disk does: an error in the middle of a copy.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
if sys.argv[4] == "as nobody" and os.getuid() == 0:
    os.setuid(65534)
print("ready", flush=True)
sys.stdin.readline()
keep_upload(settings, source, sys.argv[3], move=sys.argv[4] == "move")
"""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(url: str, data: bytes = DATA) -> Source:
    if url.startswith("s3://"):
        STORE.write(io.BytesIO(data), url)
    else:
        Path(url).parent.mkdir(parents=True, exist_ok=True)
        Path(url).write_bytes(data)
    return open_source(url) if not url.endswith("_SUCCESS") else open_source(url.rpartition("/")[0])


def put_folder(url: str) -> tuple[Source, str]:
    for name, data in PARTS.items():
        put(f"{url}/{name}", data)
    source = put(f"{url}/_SUCCESS", b"")
    return source, hash_parts([sha256(PARTS[part.name]) for part in source.parts])


def read(source: Source) -> bytes:
    with source.open_stream() as stream:
        return b"".join(iter(lambda: stream.read(1 << 20), b""))


def is_there(url: str) -> bool:
    return STORE.find(url) is not None if url.startswith("s3://") else Path(url).exists()


def list_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


PLACES = ["folder", "object store"]
EVERY_WAY = list(itertools.product(PLACES, PLACES, [True, False]))


@pytest.fixture(params=EVERY_WAY, ids=[f"{a} to {b}, {'moved' if m else 'copied'}" for a, b, m in EVERY_WAY])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Settings, bool]:
    """Where an upload comes from, the settings that say where it is kept, and whether it is moved."""
    come_from, go_to, move = request.param
    remote = request.getfixturevalue("bucket") if "object store" in (come_from, go_to) else ""
    uploads = f"{remote}/daily" if go_to == "object store" else None
    settings = Settings(home=tmp_path / "home", uploads=uploads, _env_file=None)
    elsewhere = f"{remote}/desk" if come_from == "object store" else str(tmp_path / "desk")
    return elsewhere, settings, move


def test_a_file_is_kept_under_its_hash_from_anywhere_to_anywhere(way: tuple[str, Settings, bool]) -> None:
    elsewhere, settings, move = way
    source = put(f"{elsewhere}/2018-06-01.csv.gz")
    kept = keep_upload(settings, source, sha256(DATA), move=move)
    assert kept == f"{settings.kept_url}/{sha256(DATA)[:2]}/{sha256(DATA)}.csv.gz"
    assert find_kept(settings, sha256(DATA)) == kept
    assert read(open_kept(settings, sha256(DATA))) == DATA
    assert is_there(address_of(source)) is not move


def test_a_folder_is_kept_as_a_folder_from_anywhere_to_anywhere(way: tuple[str, Settings, bool]) -> None:
    elsewhere, settings, move = way
    source, sha = put_folder(f"{elsewhere}/2018-06-01")
    kept = keep_upload(settings, source, sha, move=move)
    assert kept == f"{settings.kept_url}/{sha[:2]}/{sha}"
    assert {part.name: read(part) for part in open_kept(settings, sha).parts} == PARTS
    assert is_there(address_of(source)) is not move


def test_the_same_bytes_again_are_kept_once(way: tuple[str, Settings, bool]) -> None:
    elsewhere, settings, move = way
    kept = keep_upload(settings, put(f"{elsewhere}/2018-06-01.csv"), sha256(DATA), move=move)
    before = open_source(kept).identity()
    again = put(f"{elsewhere}/again.txt")
    assert keep_upload(settings, again, sha256(DATA), move=move) == kept
    assert open_source(kept).identity() == before
    assert is_there(address_of(again)) is not move


def test_bytes_that_came_meanwhile_are_neither_kept_nor_taken_away(way: tuple[str, Settings, bool]) -> None:
    elsewhere, settings, move = way
    source = put(f"{elsewhere}/2018-06-01.csv")
    identity = source.identity()
    put(f"{elsewhere}/2018-06-01.csv", b"others")
    with pytest.raises(InputError, match="must stay as it is"):
        keep_upload(settings, source, sha256(DATA), move=move, identity=identity)
    assert find_kept(settings, sha256(DATA)) is None
    keep_upload(settings, put(f"{elsewhere}/first.csv"), sha256(DATA), move=True)
    keep_upload(settings, source, sha256(DATA), move=move, identity=identity)
    assert read(open_source(f"{elsewhere}/2018-06-01.csv")) == b"others"


def test_what_is_kept_can_not_be_written(settings: Settings, tmp_path: Path) -> None:
    for number, move in enumerate([True, False]):
        data = DATA + bytes([number])
        kept = keep_upload(settings, put(str(tmp_path / "desk" / "day.csv"), data), sha256(data), move=move)
        assert stat.S_IMODE(Path(kept).stat().st_mode) == 0o444
    source, sha = put_folder(str(tmp_path / "desk" / "day"))
    keep_upload(settings, source, sha, move=True)
    assert {stat.S_IMODE(path.stat().st_mode) for path in list_files(settings.kept)} == {0o444}


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("day.csv", ".csv"),
        ("day.2018-06-01.csv.zst", ".csv.zst"),
        ("2018-06-01.gz", ".gz"),
        ("day", ""),
        ("day. rm -rf", ""),
        ("day." + "x" * 200, ""),
        ("day.csv\n", ""),
    ],
)
def test_of_a_name_only_what_tells_the_form_is_kept(settings: Settings, tmp_path: Path, name: str, suffix: str) -> None:
    kept = keep_upload(settings, put(str(tmp_path / name)), sha256(DATA), move=False)
    assert kept.partition(sha256(DATA))[2].removeprefix("/" + sha256(DATA)) == suffix


def test_a_link_in_the_inbox_is_followed_and_its_target_left(settings: Settings, tmp_path: Path) -> None:
    put(str(tmp_path / "desk" / "day.csv"))
    settings.inbox.mkdir(parents=True)
    (settings.inbox / "day.csv").symlink_to(tmp_path / "desk" / "day.csv")
    (source,) = list_waiting(settings)
    kept = Path(keep_upload(settings, source, sha256(DATA), move=True))
    assert not kept.is_symlink()
    assert kept.read_bytes() == (tmp_path / "desk" / "day.csv").read_bytes() == DATA
    assert list(settings.inbox.iterdir()) == []


def test_an_upload_from_another_disk(settings: Settings) -> None:
    settings.kept.mkdir(parents=True)
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == settings.kept.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory) as other:
        keep_upload(settings, put(f"{other}/day.csv"), sha256(DATA), move=True)
        source, sha = put_folder(f"{other}/day")
        keep_upload(settings, source, sha, move=True)
        assert list(Path(other).iterdir()) == []
    assert read(open_kept(settings, sha256(DATA))) == DATA
    assert {part.name: read(part) for part in open_kept(settings, sha).parts} == PARTS


RENAMED, COPIED_BY_THE_STORE = ("folder", "folder", True), ("object store", "object store")
READ_AGAIN = [way for way in EVERY_WAY if way != RENAMED and way[:2] != COPIED_BY_THE_STORE]


@pytest.mark.parametrize("way", READ_AGAIN, indirect=True, ids=[f"{a} to {b}, {m}" for a, b, m in READ_AGAIN])
def test_bytes_that_are_not_those_of_the_hash_are_not_kept(way: tuple[str, Settings, bool]) -> None:
    elsewhere, settings, move = way
    source = put(f"{elsewhere}/day.csv", b"others")
    with pytest.raises(InputError, match="must stay as it is until it is kept"):
        keep_upload(settings, source, sha256(DATA), move=move)
    assert find_kept(settings, sha256(DATA)) is None
    assert read(source) == b"others"
    assert settings.has_object_store or list_files(settings.kept) == []


def test_an_object_that_was_completed_too_short_is_written_again(bucket: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, uploads=bucket, _env_file=None)
    source = put(f"{bucket}/inbox/day.csv")
    put(f"{settings.kept_url}/{sha256(DATA)[:2]}/{sha256(DATA)}.csv", DATA[:1000])
    keep_upload(settings, source, sha256(DATA), move=True)
    assert read(open_kept(settings, sha256(DATA))) == DATA


def test_a_moved_folder_of_a_store_is_no_upload_any_more_from_the_first_moment(bucket: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, uploads=bucket, _env_file=None)
    source, sha = put_folder(f"{bucket}/inbox/2018-06-01")
    deleted = []

    class Noting(ObjectStore):
        def delete(self, url: str) -> None:
            deleted.append(url.rpartition("/")[2])
            super().delete(url)

    source.store = Noting()
    keep_upload(settings, source, sha, move=True)
    assert deleted == ["_SUCCESS", "a.csv", "b.csv"]


def test_of_a_folder_only_what_is_kept_is_taken_away(bucket: str, settings: Settings, tmp_path: Path) -> None:
    remote = Settings(home=tmp_path, uploads=bucket, _env_file=None)
    for number, (where, kept) in enumerate([(str(tmp_path / "desk"), remote), (f"{bucket}/desk", settings)]):
        source, sha = put_folder(f"{where}/2018-06-01")
        put(f"{where}/2018-06-01/_notes/late.csv", b"late")
        put(f"{where}/2018-06-01/.hidden", b"x")
        keep_upload(kept, source, sha, move=True)
        assert read(open_source(f"{where}/2018-06-01/_notes/late.csv")) == b"late", number
        assert is_there(f"{where}/2018-06-01/.hidden")
        assert not any(is_there(f"{where}/2018-06-01/{name}") for name in (*PARTS, "_SUCCESS"))


def test_a_file_with_another_name_is_copied(settings: Settings, tmp_path: Path) -> None:
    put(str(tmp_path / "desk" / "day.csv"))
    (settings.inbox / "parts").mkdir(parents=True)
    (settings.inbox / "day.csv").hardlink_to(tmp_path / "desk" / "day.csv")
    (settings.inbox / "parts" / "a.csv").hardlink_to(tmp_path / "desk" / "day.csv")
    put(str(settings.inbox / "parts" / "_SUCCESS"), b"")
    keep_upload(settings, open_source(settings.inbox / "day.csv"), sha256(DATA), move=True)
    keep_upload(settings, open_source(settings.inbox / "parts"), hash_parts([sha256(DATA)]), move=True)
    (tmp_path / "desk" / "day.csv").write_bytes(b"others")
    assert read(open_kept(settings, sha256(DATA))) == DATA
    assert [read(part) for part in open_kept(settings, hash_parts([sha256(DATA)])).parts] == [DATA]
    assert list(settings.inbox.iterdir()) == []


def test_a_file_that_takes_the_place_at_the_last_moment_is_put_back(settings: Settings, tmp_path: Path) -> None:
    class Replaced(LocalSource):
        """Gives way to others right after it was last looked at."""

        def identity(self) -> str:
            found = super().identity()
            put(f"{self.path}.tmp", b"others")
            self.path.with_name(f"{self.path.name}.tmp").rename(self.path)
            return found

    source = Replaced(put(str(settings.inbox / "day.csv")).path)
    with pytest.raises(InputError, match=r"stay as it is until it is kept.*took its place.*day\.csv"):
        keep_upload(settings, source, sha256(DATA), move=True, identity=LocalSource(source.path).identity())
    assert find_kept(settings, sha256(DATA)) is None
    assert source.path.read_bytes() == b"others"
    assert os.access(source.path, os.W_OK)
    assert list_files(settings.kept) == []


def test_what_is_not_kept_is_told(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="must be kept under its SHA-256"):
        open_kept(settings, sha256(DATA))
    for bad in ("", "../../etc", "*", sha256(DATA)[:12]):
        with pytest.raises(InputError, match="64 hexadecimal digits"):
            find_kept(settings, bad)
    source = put(str(tmp_path / "day.csv"))
    source.path.unlink()
    with pytest.raises(InputError, match="nothing|No such file"):
        keep_upload(settings, source, sha256(DATA), move=True)


def test_many_at_once_keep_one(settings: Settings, tmp_path: Path) -> None:
    sources = [put(str(tmp_path / f"{number}.csv")) for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        kept = set(pool.map(lambda source: keep_upload(settings, source, sha256(DATA), move=True), sources))
    assert len(kept) <= len(list_files(settings.kept))
    assert {path.read_bytes() for path in list_files(settings.kept)} == {DATA}
    assert not any(source.path.exists() for source in sources)


def start(settings: Settings, source: str, sha: str, how: str) -> subprocess.Popen[str]:
    command, pipe = [sys.executable, "-c", KEEP, str(settings.home), source, sha, how], subprocess.PIPE
    child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=PROJECT_ROOT)
    assert child.stdout.readline() == "ready\n", child.stderr.read()
    return child


def test_a_full_disk_is_told_and_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    source = put(str(tmp_path / "day.csv"))
    child = start(settings, address_of(source), sha256(DATA), "limited")
    _, said = child.communicate("go\n", timeout=30)
    assert "UnavailableError: there must be room to keep the upload" in said
    assert list_files(settings.kept) == []
    assert read(source) == DATA


def test_a_place_without_permission_is_told() -> None:
    with tempfile.TemporaryDirectory() as name:  # not below pytest's own folder, which no other user may enter
        settings = Settings(home=Path(name) / "home", _env_file=None)
        source = put(f"{name}/day.csv")
        settings.kept.mkdir(parents=True)
        for folder, mode in ((Path(name), 0o755), (settings.kept, 0o555)):
            folder.chmod(mode)
        _, said = start(settings, address_of(source), sha256(DATA), "as nobody").communicate("go\n", timeout=30)
        assert "InputError: the place of uploads must be writable. Received: Permission denied" in said
        assert read(source) == DATA


def empty_kept(settings: Settings) -> None:
    for path in list_files(settings.kept):
        path.unlink()


@pytest.mark.parametrize("how", ["move", "copy"])
def test_a_killed_keeping_leaves_the_upload_whole_and_is_ended_by_the_next(
    settings: Settings, tmp_path: Path, how: str
) -> None:
    data, chance = DATA * 100, random.Random(7)
    for attempt in range(4):
        empty_kept(settings)
        source = put(str(settings.inbox / "day.csv"), data)
        child = start(settings, address_of(source), sha256(data), how)
        child.stdin.write("go\n")
        child.stdin.flush()
        time.sleep(chance.uniform(0, 0.06) if how == "copy" else chance.uniform(0, 0.002))
        child.kill()
        child.communicate()
        where = [path for path in (source.path, Path(find_kept(settings, sha256(data)) or "-")) if path.exists()]
        assert where, attempt
        assert all(path.read_bytes() == data for path in where)
        keep_upload(settings, source, sha256(data), move=how == "move")
        assert [path.read_bytes() == data for path in list_files(settings.kept)] == [True]
        assert source.path.exists() is (how == "copy")


def test_unavailable_is_told_with_the_address_and_leaves_the_upload(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path / "home", uploads=bucket, store_retry_s=0, _env_file=None)
    source = put(str(tmp_path / "day.csv"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:secret@127.0.0.1:9")
    with pytest.raises(UnavailableError, match=f"must answer.*{bucket}/kept") as caught:
        keep_upload(settings, source, sha256(DATA), move=True)
    assert "secret" not in str(caught.value)
    assert read(source) == DATA
