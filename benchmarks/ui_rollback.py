"""A rollback on MLflow's own pages, in a headless Chromium: the next scoring run serves the older version.

rolled_back  rollbacks after which the next scoring run forecast with the older version, of two: by alias (the default
             view) and by stage (registry UI switch off)
named        of them, those whose line of the ledger names the user who moved
seconds      of the slower one: from opening the page to the move being made
What is to be seen is written as pictures into the folder --out, which is where the runbook's come from.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.chromium import Page, await_true, open_page
from benchmarks.report import Goal, report
from include.ingest.ingest import ingest_upload
from include.lake.bars import newest_session
from include.market.exchange import simulate_exchange, write_exchange
from include.registry.api import CHAMPION, PRODUCTION
from include.registry.ledger import Line, read_ledger
from include.registry.open import open_registry
from include.registry.promote import promote_version
from include.scoring.score import score_session
from include.settings import Settings
from include.system.credentials import PROMOTER, load_mlflow_passwords
from include.system.mlflow_server import serve_alone
from include.training.train import train

GOALS = {"rolled_back": Goal(at_least=2), "named": Goal(at_least=2)}
OLDER, NEWER = 1, 2
_ASSISTANT = "button[aria-label=Close][data-component-id*=assistant]"
_ALIASES = "button[data-component-id*=aliaseditor]"
_ARCHIVE = "input[data-component-id*=archive_existing_versions]"


@dataclass(frozen=True)
class Rollback:
    """One rollback: which version the next scoring run served, the ledger's line of it, and s on the page."""

    served: int
    line: Line
    seconds: float


def move_alias(page: Page, address: str, settings: Settings, out: Path) -> None:
    """Move the alias on a version's page, in the default view."""
    page.open(address)
    page.click(selector=_ASSISTANT)
    page.click(selector=_ALIASES)
    page.click(selector="[role=dialog] input")
    page.type(CHAMPION)
    page.take_picture(out / "alias-1-name.png")
    page.press("Enter", 13)
    page.take_picture(out / "alias-2-save.png")
    page.click("Save aliases", selector="button")
    await_true(lambda: open_registry(settings).look().champion == OLDER, "the alias must have been moved")
    page.take_picture(out / "alias-3-moved.png")


def move_stage(page: Page, address: str, settings: Settings, out: Path) -> None:
    """Move the stage on a version's page, with the registry UI switch off and what is in Production archived."""
    page.open(address)
    page.click(selector="[role=switch]")
    page.take_picture(out / "stage-1-switch.png")
    page.click("Disable", selector="button")
    page.click("Archived")
    page.take_picture(out / "stage-2-menu.png")
    page.click(PRODUCTION, selector="[role=menuitem] *")
    page.click(selector=_ARCHIVE)
    page.take_picture(out / "stage-3-archive.png")
    page.click("OK", selector="button")
    await_true(lambda: open_registry(settings).look().in_production == {OLDER}, "the stage must have been moved")
    page.take_picture(out / "stage-4-moved.png")


WAYS: dict[str, Callable[[Page, str, Settings, Path], None]] = {"alias": move_alias, "stage": move_stage}


def roll_back(settings: Settings, session: date, out: Path) -> dict[str, Rollback]:
    """Roll a home back by each way in turn, from the newer of two versions to the older.

    Parameters
    ----------
    settings
        Reach the home's running MLflow server.
    session
        Scored after each.
    out
        Folder of the pictures; it must be there.
    """
    address = f"{settings.mlflow_tracking_uri}/#/models/{settings.model_name}/versions/{OLDER}"
    password = load_mlflow_passwords(settings)[PROMOTER].get_secret_value()
    found = {}
    with open_page(PROMOTER, password) as page:
        for way, move in WAYS.items():
            promote_version(settings, NEWER, who="benchmark", why="the newer one serves")
            assert score_session(settings, session).model_version == NEWER
            started = time.perf_counter()
            move(page, address, settings, out)
            seconds = time.perf_counter() - started
            served = score_session(settings, session).model_version
            found[way] = Rollback(served, read_ledger(settings)[-1], seconds)
    return found


def make_home(settings: Settings) -> date:
    """Train two versions on a small simulated exchange; return the newest session."""
    exchange = simulate_exchange(symbols=80, sessions=90, calendar="24/7", seed=5, last_session=date(2024, 3, 30))
    history, *_ = write_exchange(exchange, settings.home / "exchange", live_sessions=4)
    ingest_upload(settings, history)
    train(settings, who="benchmark", names=["last_close", "ridge"], promote=False)
    return newest_session(settings.lake)


def main() -> int:
    """Make a home, roll it back by both ways, tell what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder) / "home", train_windows=5000, holdout_sessions=20, _env_file=None)
        with serve_alone(settings) as served:
            found = roll_back(served, make_home(served), arguments.out)
    measured = {
        "rolled_back": sum(each.served == OLDER for each in found.values()),
        "named": sum(each.line.who == PROMOTER for each in found.values()),
        "seconds": max(each.seconds for each in found.values()),
    }
    lines = {way: {"action": each.line.action, "why": each.line.why} for way, each in found.items()}
    return 0 if report("ui_rollback", measured, GOALS, note=json.dumps(lines)) else 1


if __name__ == "__main__":
    sys.exit(main())
