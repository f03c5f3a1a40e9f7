"""How a benchmark answers: a table for people, and as its last line one JSON object for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from include.console import build_table, out


@dataclass(frozen=True)
class Goal:
    """What a figure must be: at most or at least a bound."""

    at_most: float | None = None
    at_least: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a measured value keeps the goal."""
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)

    def __str__(self) -> str:
        if self.at_most is not None and self.at_least is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        return f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"


def report(name: str, measured: Mapping[str, float], goals: Mapping[str, Goal], *, note: str = "") -> bool:
    """Print the table and the JSON line; return whether every goal holds."""
    rows = [[figure, f"{value:,.4g}", str(goals.get(figure, ""))] for figure, value in measured.items()]
    out.print(build_table(name, ["figure", "measured", "goal"], rows))
    if note:
        out.print(note)
    held = all(goal.holds(measured[figure]) for figure, goal in goals.items())
    said = {figure: str(goal) for figure, goal in goals.items()}
    line = {"benchmark": name, "measured": dict(measured), "goals": said, "holds": held}
    sys.stdout.write(json.dumps(line) + "\n")
    return held
