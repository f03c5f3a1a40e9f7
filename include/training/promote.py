"""The step that lets a judgement take effect: a promotion, or a line that says that what serves goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from include.registry.artifact import hash_file
from include.registry.promote import keep_version, replace_version
from include.settings import Settings
from include.training.done import run_step, write_json
from include.training.judgement import Judgement, read_judgement
from include.training.overrides import GATE, JUDGEMENT
from include.training.patience import ask_again
from include.training.record import Retrain


def promote_judged(settings: Settings, retrain: Retrain, *, who: str, say: Callable[[str], None]) -> int:
    """Put into Production what the judgement names, or keep what serves; either is one line of the ledger.

    Parameters
    ----------
    settings
        The registry and the home.
    retrain
        One that was judged.
    who
        For the ledger.
    say
        Told who serves, and of every wait for MLflow.

    Returns
    -------
    int
        The version that serves.

    Raises
    ------
    UnavailableError
        MLflow has not answered for long.
    """
    judgement, judged = read_judgement(retrain), hash_file(retrain.step(GATE) / JUDGEMENT)

    def work(folder: Path) -> None:
        serving = ask_again(
            lambda: _take_effect(settings, judgement, who=who, request=retrain.request(f"promote {judged[:12]}")),
            patience_s=settings.registry_wait_s,
            say=say,
        )
        write_json(folder / "serving.json", {"version": serving})

    run_step(retrain.step("promote"), work, basis=retrain.basis | {"judgement": judged})
    serving = int(json.loads((retrain.step("promote") / "serving.json").read_text())["version"])
    say(f"Production: version {serving} (before: {judgement.champion or 'none'}); effective from the next run")
    return serving


def _take_effect(settings: Settings, judgement: Judgement, *, who: str, request: str) -> int:
    said = {"who": who, "detail": judgement.to_json(), "request": request}
    why, expected = judgement.why, (judgement.champion, judgement.version)
    if judgement.changes:
        version, graph = judgement.version, judgement.graph
        since = replace_version(settings, version, instead_of=expected, graph=graph, why=why, **said)
        if not since:
            return judgement.version
        why = f"judged beside version {judgement.champion}, but {since}: {why}"
    kept = keep_version(settings, why=why, **said)
    return judgement.version if kept is None else kept
