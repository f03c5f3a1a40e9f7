"""What is told of who serves: once a line of the ledger, with who did it and why."""

from __future__ import annotations

from include.alerts.episodes import Episode
from include.alerts.overview import read_overview
from include.registry.api import PRODUCTION
from include.registry.client import connect, quiet_stages
from include.registry.promote import keep_version, promote_version, rollback_version
from include.registry.reconcile import SOMEBODY
from include.registry.resolve import resolve_version
from include.settings import Settings


def read_notices(settings: Settings) -> list[Episode]:
    return sorted(read_overview(settings, 0.0, every=True).episodes, key=lambda each: each.opened_at)


def test_each_line_but_the_first_is_told_once(own: Settings) -> None:
    resolve_version(own)
    assert read_notices(own) == []  # it serves since before the ledger began
    promote_version(own, 3, who="ada", why="steadier", request="r1")
    promote_version(own, 3, who="ada", why="steadier", request="r1")
    rollback_version(own, to=None, who="bob", why="errors doubled", request="r2")
    keep_version(own, who="retrain_weekly", why="not better than the last close", detail=None, request="r3")
    with quiet_stages():
        connect(own).transition_model_version_stage("closecast", "1", PRODUCTION, archive_existing_versions=True)
    resolve_version(own)
    resolve_version(own)
    assert [(each.kind, each.cause) for each in read_notices(own)][:3] == [
        ("model_promoted", "steadier"),
        ("model_rolled_back", "errors doubled"),
        ("model_refused", "not better than the last close"),
    ]
    assert [each.summary for each in read_notices(own)] == [
        "closecast: version 3 serves, before it 2 (promoted by ada)",
        "closecast: version 2 serves, before it 3 (rolled back by bob)",
        "closecast: version 2 stays, the challenger was turned down (by retrain_weekly)",
        f"closecast: version 1 serves, before it 2 (stage moved in the registry by {SOMEBODY})",
    ]
