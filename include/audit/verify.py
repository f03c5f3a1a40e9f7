"""Whether anything that led to a forecast was changed since: rows, bars, graphs, the ledger of promotions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from include.audit.artifacts import check_artifacts, check_ledger
from include.audit.chain import check_chain, check_forecasts
from include.audit.files import check_files
from include.audit.findings import Checked, Finding
from include.audit.published import check_published
from include.lake.runs import list_runs
from include.lake.tables import BARS, OUTCOMES
from include.settings import Settings


@dataclass(frozen=True)
class Verification:
    """All checks of a home."""

    checks: tuple[Checked, ...]

    @property
    def findings(self) -> list[Finding]:
        """What was changed, of all checks."""
        return [finding for check in self.checks for finding in check.findings]

    @property
    def notes(self) -> list[str]:
        """What could not be looked at."""
        return [note for check in self.checks for note in check.notes]


def verify_home(settings: Settings, tell: Callable[[int, int], None] = lambda done, total: None) -> Verification:
    """Check everything that forecasts of a home were made from.

    Parameters
    ----------
    settings
        Which home and registry.
    tell
        Called with how many runs are done, and how many there are.
    """
    try:
        runs = list_runs(settings.lake, table=None)
    except (pa.ArrowException, OSError) as error:
        said = f"scoring_runs can't be read: {' '.join(str(error).split())[:200]}"
        return Verification((Checked("chain", 0, "runs", (Finding("chain", said),)),))
    return Verification(
        (
            check_chain(settings, runs),
            check_published(settings, runs),
            # The cache before the forecasts: a replay, which names their faults, mends it.
            check_artifacts(settings, runs),
            check_forecasts(settings, runs, tell),
            check_files(settings, BARS, runs),
            check_files(settings, OUTCOMES, runs),
            check_ledger(settings),
        )
    )
