"""Waiting for MLflow: a retrain that finds it down asks again for a while, and then leaves it to the next try."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import requests

from include.errors import UnavailableError

Found = TypeVar("Found")

PAUSE_S = 5.0
_AWAY = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
"""MLflow's codes for a server that did not answer, or not with sense."""


def ask_again(
    work: Callable[[], Found], *, patience_s: float, say: Callable[[str], None], pause_s: float = PAUSE_S
) -> Found:
    """Do what needs MLflow, and again every few seconds while it does not answer.

    Parameters
    ----------
    work
        What can be done again without harm.
    patience_s
        For how long to ask again.
    say
        Told each time that it has to wait.

    Raises
    ------
    UnavailableError
        It has not answered for so long.
    """
    until = time.monotonic() + patience_s
    while True:
        try:
            return work()
        except UnavailableError as error:
            left = until - time.monotonic()
            if left <= 0:
                raise
            say(f"waiting for MLflow, {left:.0f} s more at most: {error}")
        time.sleep(min(pause_s, left))


@contextmanager
def mlflow_answering(place: str) -> Iterator[None]:
    """Turn the errors by which MLflow's client says that its server is away into ours; any other passes.

    Raises
    ------
    UnavailableError
        The server does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except requests.RequestException as error:
        raise UnavailableError("MLflow must answer", value=type(error).__name__, place=place) from error
    except MlflowException as error:
        if error.error_code not in _AWAY:
            raise
        raise UnavailableError("MLflow must answer", value=error.message[:200], place=place) from error
