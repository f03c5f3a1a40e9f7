"""The eight forecasters again, a series and a window at a time, in plain Python: what the vectorised ones must give.

A history is a list of prices, None in a hole; a forecast is a log price, None where the history has no price.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from itertools import pairwise

import numpy as np

History = list[float | None]
PARAMETERS = {"season": 7, "span": 5, "alpha": 0.5, "lags": 3, "penalty": 4.0}


def known_logs(history: History) -> list[tuple[int, float]]:
    return [(at, math.log(price)) for at, price in enumerate(history) if price is not None]


def last_close(history: History) -> float:
    return known_logs(history)[-1][1]


def seasonal_naive(history: History) -> float:
    at = len(history) - PARAMETERS["season"]
    while at >= 0:
        if history[at] is not None:
            return math.log(history[at])
        at -= PARAMETERS["season"]
    return last_close(history)


def drift(history: History) -> float:
    (first_at, first), (last_at, last) = known_logs(history)[0], known_logs(history)[-1]
    if first_at == last_at:
        return last
    return last + (last - first) / (last_at - first_at) * (len(history) - last_at)


def mean(history: History) -> float:
    return statistics.fmean(value for _, value in known_logs(history))


def median(history: History) -> float:
    return statistics.median(value for _, value in known_logs(history))


def moving_average(history: History) -> float:
    newest = known_logs(history[-PARAMETERS["span"] :])
    return statistics.fmean(value for _, value in newest) if newest else last_close(history)


def exponential_smoothing(history: History) -> float:
    level = weight = 0.0
    for price in history:
        level, weight = level * (1 - PARAMETERS["alpha"]), weight * (1 - PARAMETERS["alpha"])
        if price is not None:
            level, weight = level + math.log(price), weight + 1
    return level / weight


def ridge(history: History) -> float:
    """By scikit-learn, on the table of returns written out row by row."""
    from sklearn.linear_model import Ridge

    lags = PARAMETERS["lags"]
    returns = [
        None if before is None or after is None else math.log(after) - math.log(before)
        for before, after in pairwise(history)
    ]
    known = [each for each in returns if each is not None]
    filled = [each or 0.0 for each in returns]
    rows = [at for at in range(lags, len(returns)) if returns[at] is not None]
    if not rows or not any(known):
        return last_close(history)
    X = np.array([[filled[at - lag] for lag in range(1, lags + 1)] for at in rows])
    y = np.array([returns[at] for at in rows])
    unit = statistics.fmean(each**2 for each in known)
    fitted = Ridge(PARAMETERS["penalty"] * unit, fit_intercept=False, solver="cholesky").fit(X, y)
    newest = [0.0] * lags + filled
    return last_close(history) + float(fitted.predict([newest[: -lags - 1 : -1]])[0])


LOOPS: dict[str, Callable[[History], float]] = {
    loop.__name__: loop
    for loop in (last_close, seasonal_naive, drift, mean, median, moving_average, exponential_smoothing, ridge)
}
