"""The pictures that commands draw: candidates of a retrain, forecasts, errors, how the system stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from include.console import build_table, out, plain, price
from include.monitoring.errors import SessionError
from include.training.train import Candidate, Snapshot


def show_candidates(snapshot: Snapshot, candidates: Sequence[Candidate], best: Candidate | None) -> None:
    """Draw every candidate beside last close, and say which won by how much."""
    rows = [
        [
            f"{'→ ' if candidate is best else '  '}{candidate.kind}",
            str(candidate.version),
            f"{candidate.open_error:.5f}",
            f"{candidate.close_error:.5f}",
            f"{candidate.relative_error:.4f}",
        ]
        for candidate in candidates
    ]
    title = (
        f"Candidates, judged on {candidates[0].windows:,} windows of {snapshot.holdout_sessions} held-out sessions"
        f" (from {snapshot.holdout_from})"
    )
    out.print(build_table(title, ["model", "version", "open error", "close error", "error / last close's"], rows))
    out.print("[dim]error: mean |log(actual) - log(forecast)|[/dim]")
    if best is not None:
        gain = 100 * (1 - best.relative_error)
        won = f"{gain:.1f} % below last close's" if best.kind != "last_close" else "nothing beat it"
        out.print(f"[bold]{best.kind}[/bold] (version {best.version}) won and is in Production: error {won}")


def show_forecasts(rows: Sequence[dict[str, Any]], title: str, *, most: int = 20) -> None:
    """Draw forecasts as `widen_run` gives them, a symbol a line."""
    prices = ("last_close", "pred_open", "pred_close")
    cells = [[plain(row["symbol"]), row["status"], *(price(row[name]) for name in prices)] for row in rows[:most]]
    columns = ["symbol", "status", "last close", "predicted open", "predicted close"]
    out.print(build_table(plain(title), columns, cells, right=2))
    if len(rows) > most:
        out.print(f"[dim]… and {len(rows) - most:,} more[/dim]")


def show_errors(errors: Sequence[SessionError]) -> None:
    """Draw the errors of scored sessions beside last close's."""
    rows = [
        [
            str(error.target_session),
            error.target,
            f"{error.symbols:,}",
            f"{error.mean_absolute_error:.5f}",
            f"{error.last_close_error:.5f}",
            f"{error.mean_absolute_error / error.last_close_error:.3f}" if error.last_close_error else "–",
        ]
        for error in errors
    ]
    columns = ["session", "target", "symbols", "our error", "last close's", "ratio"]
    out.print(build_table("What came true: mean absolute error of the log return", columns, rows, right=2))
