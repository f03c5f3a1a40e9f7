"""Whether a file is still being written, asked of a real kernel with real writers."""

from __future__ import annotations

import fcntl
import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from include.ingest.writing import is_whole
from include.settings import PROJECT_ROOT

pytestmark = pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="leases are Linux's")

LONG = 3600.0
"""Seconds to settle that no test waits for: what is whole by then, a lease has told."""

WRITER = "import sys; file = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.readline()"

AS_NOBODY = """
import os, sys
from pathlib import Path
from include.ingest.writing import is_whole
os.setuid(65534)
print(is_whole(Path(sys.argv[1]), float(sys.argv[2])))
"""

RACE = """
import sys
from pathlib import Path
from include.ingest.writing import is_whole
for _ in range(20_000):
    is_whole(Path(sys.argv[1]), 3600.0)
print("alive")
"""


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "2018-06-01.csv"
    path.write_text("symbol\n")
    return path


@contextmanager
def written_by_another(path: Path) -> Iterator[None]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdin=pipe, stdout=pipe, text=True) as writer:
        assert writer.stdout.readline() == "open\n"
        yield
        writer.communicate("done\n", timeout=10)


def test_a_file_is_whole_once_its_writer_has_closed_it(upload: Path) -> None:
    with written_by_another(upload):
        assert not is_whole(upload, 0)  # however long it has rested: a writer may be slow
    assert is_whole(upload, LONG)


def test_a_file_that_is_mapped_for_writing_is_not_whole(upload: Path) -> None:
    with upload.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    assert not is_whole(upload, 0)
    mapped.close()
    assert is_whole(upload, LONG)


def test_a_reader_or_a_read_only_mode_does_not_matter(upload: Path) -> None:
    upload.chmod(0o444)
    with upload.open("rb"):
        assert is_whole(upload, LONG)


def test_a_file_that_has_gone_is_not_whole(tmp_path: Path) -> None:
    assert not is_whole(tmp_path / "gone.csv", 0)


def test_no_trace_is_left(upload: Path) -> None:
    with written_by_another(upload):
        is_whole(upload, 0)
    assert list(upload.parent.iterdir()) == [upload]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_users_file_is_whole_once_it_has_settled() -> None:
    def ask(path: Path, settle_s: float) -> str:
        command = [sys.executable, "-c", AS_NOBODY, str(path), str(settle_s)]
        return subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout.strip()

    with tempfile.TemporaryDirectory() as name:  # not below pytest's own folder, which no other user may enter
        Path(name).chmod(0o755)
        upload = Path(name) / "2018-06-01.csv"
        upload.write_text("symbol\n")
        assert ask(upload, LONG) == "False"
        time.sleep(0.3)
        assert ask(upload, 0.2) == "True"


def test_a_writer_that_comes_during_the_question_ends_no_process(upload: Path) -> None:
    asking = subprocess.Popen(
        [sys.executable, "-c", RACE, str(upload)], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    )
    while asking.poll() is None:
        descriptor = os.open(upload, os.O_WRONLY)
        os.close(descriptor)
    assert (asking.communicate()[0], asking.returncode) == ("alive\n", 0)
