"""A ridge regression of each series' return on its own newest returns, one per series and window.

The normal equations of all windows come from products of shifted returns, one matrix product over the sessions each,
and are solved in one batch. There is no intercept, so a market's drift is not learned. A return is known where a
session and the one before it have a price. An unknown return is never a target, and as a lag it counts as zero, in
learning and in forecasting alike: it is the last close's forecast of it.
"""

from __future__ import annotations

import numpy as np

from models.closed_form.panel import Booleans, Panel
from models.protocol import Floats


def forecast_lag_ridge(panel: Panel, *, lags: int, penalty: float) -> Floats:
    """Newest log price plus the return that the window's regression forecasts.

    A. E. Hoerl and R. W. Kennard, Technometrics 12, 1970, p. 55-67.

    Parameters
    ----------
    lags
        Returns that one is explained by, 1 or more.
    penalty
        Squared coefficients cost as much as if every lag had been seen in so many more sessions, each of the window's
        mean squared return, with nothing following: positive, and the same for every volatility.

    Returns
    -------
    (n_series, n_windows); the newest log price where the window has no known return.
    """
    if lags < 1 or not penalty > 0:
        raise ValueError(f"lags must be 1 or more and penalty positive. Received: {lags} and {penalty}")
    known = panel.known[:, 1:] & panel.known[:, :-1]
    returns = np.zeros_like(panel.values)
    np.subtract(panel.values[:, 1:], panel.values[:, :-1], out=returns[:, 1:], where=known)
    targets = np.zeros_like(panel.known)
    targets[:, 1:] = known
    gram, moments = _normal_equations(returns, targets, panel.in_window(skip=lags + 1), lags)
    gram += penalty * _mean_squares(returns, targets, panel.in_window(skip=1))[..., None, None] * np.eye(lags)
    coefficients = np.linalg.solve(gram, moments[..., None])[..., 0]
    return np.asarray(panel.last + (coefficients * _newest_lags(returns, panel, lags)).sum(axis=-1))


def _normal_equations(returns: Floats, targets: Booleans, rows: Floats, lags: int) -> tuple[Floats, Floats]:
    """Sums over the windows' rows of lag times lag, (n_series, n_windows, lags, lags), and of lag times target.

    Parameters
    ----------
    returns, targets
        (n_series, n_sessions): returns, zero where unknown, and whether known.
    rows
        Weights (n_sessions, n_windows): 1 where a session is a row of the window's regression.
    """
    n_series, n_windows = len(returns), rows.shape[1]
    gram, moments = np.empty((n_series, n_windows, lags, lags)), np.empty((n_series, n_windows, lags))
    rows = rows[lags:]  # the sessions before have no row: some lag of theirs would lie before the panel
    shifted = [returns[:, lags - lag :][:, : len(rows)] for lag in range(lags + 1)]
    for lag in range(1, lags + 1):
        moments[..., lag - 1] = (shifted[lag] * shifted[0]) @ rows
        masked = shifted[lag] * targets[:, lags:]
        for other in range(1, lag + 1):
            gram[..., lag - 1, other - 1] = gram[..., other - 1, lag - 1] = (masked * shifted[other]) @ rows
    return gram, moments


def _mean_squares(returns: Floats, targets: Booleans, rows: Floats) -> Floats:
    """Mean squared known return of each window, (n_series, n_windows), 1 where it is zero or there is none.

    With all lags zero the coefficients are zero by any positive penalty, and the equations stay solvable.
    """
    sums, counts = np.square(returns) @ rows, targets.astype(np.float64) @ rows
    return np.where(sums > 0, sums / np.maximum(counts, 1.0), 1.0)


def _newest_lags(returns: Floats, panel: Panel, lags: int) -> Floats:
    """Returns of the window's newest sessions, (n_series, n_windows, lags), zero where unknown or before the window."""
    positions = panel.origins[:, None] - np.arange(lags)
    inside = positions > panel.starts[:, None]
    return np.where(inside, returns[:, np.maximum(positions, 0)], 0.0)
