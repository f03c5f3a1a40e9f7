"""The models by name, found by the files that lie here. Each is imported when it is built, and not before.

A file is a model where a line of it begins `MODEL = `, followed by the class; its name is the file's. What the
catalogue says of a model is read from the text of its file: to know the names costs a millisecond, to import bigru 4
seconds. The models that learn nothing come first, then the simpler and cheaper by the line `RANK = `: of two that tie
the first serves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from math import inf
from pathlib import Path

from models.protocol import Model

_MODEL = re.compile(r"^MODEL = \w+$", re.MULTILINE)
_NAIVE = re.compile(r"^    is_naive: ClassVar\[bool\] = True$", re.MULTILINE)
_RANK = re.compile(r"^RANK = (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Listed:
    """What a file says of its model.

    Attributes
    ----------
    name
        The file's, without its ending.
    is_naive
        Whether the model learns nothing.
    rank
        Its place among the others, the simpler and cheaper the lower; infinite where the file is silent.
    """

    name: str
    is_naive: bool
    rank: float


@cache
def list_models(folder: Path = Path(__file__).parent) -> tuple[Listed, ...]:
    """List the models whose files lie in a folder: the naive ones first, then by rank, then by name."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    found = [_describe(name, text) for name, text in texts.items() if _MODEL.search(text)]
    return tuple(sorted(found, key=lambda each: (not each.is_naive, each.rank, each.name)))


def _describe(name: str, text: str) -> Listed:
    rank = _RANK.search(text)
    return Listed(name, bool(_NAIVE.search(text)), int(rank[1]) if rank else inf)


MODEL_NAMES = tuple(each.name for each in list_models())
"""The models that there are."""

NAIVE_NAMES = tuple(each.name for each in list_models() if each.is_naive)
"""Those that learn nothing: a challenger must beat the best of them, whoever serves."""


def build_model(name: str) -> Model:
    """Build a model, before fit, with its default hyperparameters.

    Raises
    ------
    ValueError
        If there is no model of that name.
    """
    if name not in MODEL_NAMES:
        raise ValueError(f"model must be one of {', '.join(MODEL_NAMES)}. Received: {name}")
    model: Model = import_module(f"models.{name}").MODEL()
    return model
