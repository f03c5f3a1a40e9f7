"""What a home needs and does not have, found before it matters: `closecast doctor`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

from include.errors import ClosecastError
from include.settings import Settings
from include.system.state import load_state, supervisor_of

LEAST_FREE_BYTES = 2 << 30


@dataclass(frozen=True)
class Finding:
    """One check: `fault` is empty where all is well, `said` what was found."""

    name: str
    said: str
    fault: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Check everything; a check that cannot be done is a fault of its own, and hides no other."""
    checks: dict[str, Callable[[Settings], list[Finding]]] = {
        "system": _check_system,
        "disk": _check_disk,
        "incidents": _check_incidents,
        "slack settings": _check_telling,
        "slack": _check_slack,
    }
    found: list[Finding] = []
    for name, check in checks.items():
        try:
            found += check(settings)
        except (ClosecastError, OSError) as error:
            found.append(Finding(name, "", str(error)))
    return found


def _check_system(settings: Settings) -> list[Finding]:
    state = load_state(settings.run_dir)
    if state is None:
        return [Finding("system", "nothing runs on this home")]
    died = "its supervisor has died: closecast up starts it again (docs/runbooks/system_down.md)"
    return [Finding("system", f"at {state.airflow_url}", "" if supervisor_of(state) else died)]


def _check_disk(settings: Settings) -> list[Finding]:
    least = max(LEAST_FREE_BYTES, settings.disk_free_mb * 1_000_000)
    place = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    said = f"{free / (1 << 30):.1f} GiB free at {place}"
    return [Finding("disk", said, "" if free >= least else f"{said}; {least / (1 << 30):.1f} GiB must be")]


def _check_incidents(settings: Settings) -> list[Finding]:
    from include.alerts.overview import read_overview

    found = read_overview(settings, time.time())
    muted = f"; muted: {', '.join(each.key for each in found.mutes)}" if found.mutes else ""
    said = f"{found.opened} open, {found.waiting} message(s) wait{muted}"
    faults = [f"{each.name}: {each.fault}" for each in found.trouble if each.fault]
    return [Finding("incidents", said, "; ".join(faults))]


def _check_telling(settings: Settings) -> list[Finding]:
    from include.alerts.misspelt import check_telling

    check_telling(settings)
    return [Finding("slack settings", "can be read")]


def _check_slack(settings: Settings) -> list[Finding]:
    from include.alerts.overview import check_slack

    places = check_slack(settings)
    if not places:
        return [Finding("slack", "not set: incidents are kept, closecast alerts list shows them")]
    return [Finding(f"slack {name}", "answers" if not fault else "", fault) for name, fault in places.items()]
