"""The demo's last words lead the next command to the same home."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.demo import choose_home
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
