"""The models by name. Each is imported when it is built: to know the names costs nothing, to build bigru 4 seconds."""

from __future__ import annotations

from collections.abc import Callable

from models.protocol import Model


def _build_bigru() -> Model:
    from models.bigru import BiGRU

    return BiGRU()


def _build_ridge() -> Model:
    from models.ridge import RidgeModel

    return RidgeModel()


def _build_last_close() -> Model:
    from models.last_close import LastClose

    return LastClose()


_BUILDERS: dict[str, Callable[[], Model]] = {
    "last_close": _build_last_close,
    "ridge": _build_ridge,
    "bigru": _build_bigru,
}

MODEL_NAMES = tuple(_BUILDERS)
"""The models that there are, the cheapest first."""


def build_model(name: str) -> Model:
    """Build a model, before fit, with its default hyperparameters.

    Raises
    ------
    ValueError
        If there is no model of that name.
    """
    if name not in _BUILDERS:
        raise ValueError(f"model must be one of {', '.join(MODEL_NAMES)}. Received: {name}")
    return _BUILDERS[name]()
