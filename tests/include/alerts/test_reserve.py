"""A disk without room, as a small file system that is filled to its last block."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.alerts.deliver import deliver
from include.alerts.overview import read_overview
from include.alerts.report import report_incident
from include.alerts.reserve import RESERVE_BYTES, free_reserve, keep_reserve
from include.settings import Settings
from tests.fakes import FakeSlack
from tests.include.alerts.scenes import make_incident, with_webhook


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 MB, or a visible skip where there is no right to make one."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> None:
    done = subprocess.run(["dd", "if=/dev/zero", f"of={folder / 'filler'}", "bs=64k"], capture_output=True, check=False)
    assert b"No space left" in done.stderr


def test_a_full_disk_is_kept_and_told_of(small: Path) -> None:
    with FakeSlack() as slack:
        settings = with_webhook(Settings(home=small, _env_file=None), slack)
        deliver(settings, deadline_s=1)
        assert (settings.alerts / "reserve").stat().st_size == RESERVE_BYTES
        fill(small)
        name = report_incident(settings, make_incident("disk_full/home"))
        assert [each.id for each in read_overview(settings, 0.0).episodes] == [name]
        assert len(slack.posts) == 1
        assert not (settings.alerts / "reserve").exists()


def test_where_there_was_no_reserve_it_is_sent_unkept(small: Path) -> None:
    with FakeSlack() as slack:
        settings = with_webhook(Settings(home=small, _env_file=None), slack)
        fill(small)
        assert report_incident(settings, make_incident("disk_full/home")) == ""
        assert "home failed" in slack.posts[0]["text"]


def test_a_reserve_is_laid_by_once_and_only_where_there_is_plenty(settings: Settings, small: Path) -> None:
    settings.alerts.mkdir(parents=True)
    keep_reserve(settings)
    first = (settings.alerts / "reserve").stat().st_mtime_ns
    keep_reserve(settings)
    assert (settings.alerts / "reserve").stat().st_mtime_ns == first
    assert free_reserve(settings)
    assert not free_reserve(settings)
    poor = Settings(home=small, _env_file=None)
    poor.alerts.mkdir()
    fill(small)
    keep_reserve(poor)
    assert not (poor.alerts / "reserve").exists()
