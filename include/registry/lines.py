"""What people are told of the ledger's lines: who serves now and why, or that a challenger was turned down."""

from __future__ import annotations

from include.registry.ledger import Line
from include.settings import Settings

_KINDS = {"promote": "model_promoted", "rollback": "model_rolled_back", "keep": "model_refused"}
_DONE = {"promote": "promoted", "rollback": "rolled back", "fallback": "fallen back to, since the other is gone,"}
_FIRST = "adopt"
"""The line that writes down what an older home already served: nothing has changed by it."""


def tell_line(settings: Settings, line: Line) -> None:
    """Tell of a new line."""
    if line.action == _FIRST:
        return
    from include.alerts.incidents import Notice
    from include.alerts.report import tell_notice

    kind = _KINDS.get(line.action, "model_moved")
    tell_notice(settings, Notice(f"{kind}/{line.request}", kind, describe_line(line), line.why))


def describe_line(line: Line) -> str:
    """Say in a line which version serves, and who did it."""
    if line.action == "keep":
        return f"{line.model_name}: version {line.to_version} stays, the challenger was turned down (by {line.who})"
    serves = f"version {line.to_version} serves" if line.to_version is not None else "no version serves"
    before = f", before it {line.from_version}" if line.from_version is not None else ""
    moved = {"both": "stage and alias"}.get(line.action, line.action)
    done = _DONE.get(line.action, f"{moved} moved in the registry")
    return f"{line.model_name}: {serves}{before} ({done} by {line.who})"
