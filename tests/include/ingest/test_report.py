"""What is said of an upload can be written."""

from __future__ import annotations

import pytest

from include.errors import InputError
from include.ingest.report import Origin


@pytest.mark.parametrize("name", ["who", "why"])
def test_half_of_a_surrogate_pair_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name} must be text that UTF-8 can write.*udcff") as caught:
        Origin(**{name: "desk \udcff"})
    str(caught.value).encode()
    assert getattr(Origin(**{name: "Müller 🙂"}), name) == "Müller 🙂"
