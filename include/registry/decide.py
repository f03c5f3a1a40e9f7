"""Which version should serve, from what stage and alias say now and what was last reconciled: a pure rule.

A person moves the stage on one of MLflow's pages and the alias on the other. Whichever of the two no longer names the
version of the ledger's newest line was moved, and is followed. Where both were moved apart, or Production holds two
versions or none, nobody's move is followed and nobody's move is undone: what served goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.registry.api import CHAMPION, PRODUCTION, RegistryState

SETTLED, REFUSED, GONE = "settled", "refused", "gone"


@dataclass(frozen=True)
class Decision:
    """What to do.

    Attributes
    ----------
    action
        settled: nothing was moved; stage, alias, both: follow that move; adopt: the ledger has no line yet;
        refused: the registry cannot be followed; gone: what served was deleted and the registry names nothing else.
    version
        Which should serve; None where there is none to name.
    why
        In a sentence, empty where nothing was moved.
    """

    action: str
    version: int | None
    why: str = ""


def decide(state: RegistryState, last: int | None) -> Decision:
    """Decide which version should serve.

    Parameters
    ----------
    state
        The registry as it is.
    last
        The version of the ledger's newest line, None where it has none.

    Examples
    --------
    >>> from include.registry.api import Registered
    >>> versions = {1: Registered(1, "Production", {}, None), 2: Registered(2, "Archived", {}, None)}
    >>> decide(RegistryState(versions, champion=2, tags={}), last=2)
    Decision(action='stage', version=1, why='version 1 was moved to Production in the registry')
    """
    if last is None:
        return _adopt(state)
    if len(state.in_production) > 1:
        return Decision(REFUSED, last, f"versions {_name(state.in_production)} are all in {PRODUCTION}")
    stage = next(iter(state.in_production), None)
    claims = {"stage": stage, "alias": state.champion}
    moved = {what: version for what, version in claims.items() if version not in (None, last)}
    if moved:
        return _follow(moved, last)
    if last not in state.versions:
        return Decision(GONE, None, f"version {last}, which served, was deleted from the registry")
    return Decision(REFUSED, last, f"no version is in {PRODUCTION}") if stage is None else Decision(SETTLED, last)


def _follow(moved: Mapping[str, int | None], last: int) -> Decision:
    """Follow what was moved, unless stage and alias were moved apart."""
    if len(set(moved.values())) > 1:
        said = f"version {moved['stage']} is in {PRODUCTION}, but the alias {CHAMPION} names version {moved['alias']}"
        return Decision(REFUSED, last, said)
    version = next(iter(moved.values()))
    if len(moved) == 2:
        return Decision("both", version, f"stage and alias were moved to version {version} in the registry")
    if "stage" in moved:
        return Decision("stage", version, f"version {version} was moved to {PRODUCTION} in the registry")
    return Decision("alias", version, f"the alias {CHAMPION} was moved to version {version} in the registry")


def _adopt(state: RegistryState) -> Decision:
    """Choose where no line says what served: a version in Production, the alias between several."""
    if not state.in_production:
        return Decision("adopt", state.champion, f"the alias {CHAMPION} named it when the ledger began")
    if len(state.in_production) == 1:
        return Decision("adopt", max(state.in_production), f"it was in {PRODUCTION} when the ledger began")
    chosen = state.champion if state.champion in state.in_production else max(state.in_production)
    return Decision("adopt", chosen, f"versions {_name(state.in_production)} were in {PRODUCTION}: one was chosen")


def _name(versions: frozenset[int]) -> str:
    return " and ".join(map(str, sorted(versions)))
