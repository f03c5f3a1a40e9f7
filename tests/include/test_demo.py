"""The demo's last words lead the next command to the same home."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.demo import choose_home, run_demo
from include.errors import InputError
from include.settings import Settings


@pytest.mark.parametrize(
    ("home", "said"),
    [
        (".closecast", ""),
        ("/srv/my home", "CLOSECAST_HOME='/srv/my home' "),
        ("/srv/closecast", "CLOSECAST_HOME=/srv/closecast "),
    ],
)
def test_the_home_is_named_where_it_is_not_the_one_by_default(home: str, said: str) -> None:
    assert choose_home(Settings(home=Path(home), _env_file=None)) == said


def test_too_few_sessions_are_refused_before_anything_is_touched(tmp_path: Path) -> None:
    home = tmp_path / "home"
    asked = {"data": None, "calendar": None, "symbols": 10, "live": 3, "as_json": False}
    with pytest.raises(InputError, match=r"120 sessions to train on and 3 that arrive\. Received: 122"):
        run_demo(Settings(home=home, _env_file=None), sessions=122, **asked)
    assert not home.exists()
