"""What a retrain has led to: who serves, in a sentence and with every number, as it is kept on disk and in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from include.gate.paired import FEWEST_SESSIONS
from include.gate.verdict import ChallengerVerdict, GateVerdict
from include.registry.client import connect
from include.registry.register import REQUEST
from include.settings import Settings
from include.training.champion import Champion
from include.training.fit import EVIDENCE, Fit
from include.training.overrides import GATE, HELD_BACK, JUDGEMENT, NAIVE, NOT_JUDGED, PASSED, SERVES
from include.training.patience import mlflow_answering
from include.training.record import Retrain

_DESCRIPTION = "mlflow.note.content"
"""The tag that MLflow's page of a run shows as its description, in Markdown."""


@dataclass(frozen=True)
class Judgement:
    """What a retrain has led to.

    Attributes
    ----------
    serves, version
        The kind that is to serve and its version; those of before where nothing changes.
    champion
        The version that served, None where none did.
    why
        In a sentence.
    gate
        What the gate said of each model of the retrain, in the words of `include.training.overrides`.
    versions
        The registered version of each model of the retrain.
    is_naive
        Whether a naive model is to serve.
    judged_sessions, judged_from
        How many held-out sessions were judged on, and the first of them.
    leaks
        What the leak tests measured.
    verdict
        All of `include.gate.verdict.GateVerdict`; None where the gate could not judge.
    graphs
        SHA-256 of the graph of each model of the retrain, as it was registered: the word is of these.
    champion_graph
        That of what served.
    holdout_from
        First session that no model of the retrain was fitted on.
    """

    retrain_id: str
    serves: str
    version: int
    champion: int | None
    why: str
    gate: dict[str, str]
    versions: dict[str, int]
    is_naive: bool
    judged_sessions: int
    judged_from: str | None
    leaks: dict[str, Any]
    verdict: dict[str, Any] | None
    graphs: dict[str, str] = field(default_factory=dict)
    champion_graph: str | None = None
    holdout_from: str | None = None

    @property
    def changes(self) -> bool:
        """Whether another version is to serve, or another graph under the same number."""
        return self.version != self.champion or self.champion_graph not in (None, self.graph)

    @property
    def graph(self) -> str | None:
        """The SHA-256 of the graph that is to serve; None in a record of an earlier release."""
        if self.version == self.champion and self.versions.get(self.serves) != self.version:
            return self.champion_graph
        return self.graphs.get(self.serves)

    def to_json(self) -> str:
        """Return all of it as JSON text, for the ledger."""
        return json.dumps(asdict(self))


def read_judgement(retrain: Retrain) -> Judgement:
    """Read what a retrain that was judged has led to."""
    return Judgement(**json.loads((retrain.step(GATE) / JUDGEMENT).read_text()))


def word_gate(fit: Fit, verdict: GateVerdict | None, *, chosen: bool) -> str:
    """Say in a word or two what the gate made of a model."""
    if chosen:
        return SERVES
    if fit.is_naive:
        return NAIVE
    if verdict is None:
        return NOT_JUDGED
    return PASSED if _find_challenger(verdict, fit.kind).passes else HELD_BACK


def _find_challenger(verdict: GateVerdict, name: str) -> ChallengerVerdict:
    return next(one for one in verdict.challengers if one.name == name)


def explain_verdict(champion: Champion | None, verdict: GateVerdict | None, serves: str, naives: list[str]) -> str:
    """Say in a sentence who serves and why; a naive model that serves is called one."""
    was = f"{champion.version.kind} (version {champion.version.version})" if champion else "nothing"
    naive = f"{serves}, a naive model,"
    if verdict is None:
        short = f"not judged: fewer than {FEWEST_SESSIONS} sessions that nobody was fitted on"
        return f"{short}; {was} serves on" if champion else f"{short}, and nothing served; {naive} serves"
    if verdict.promoted:
        found = _find_challenger(verdict, verdict.promoted)
        gains = ", ".join(
            f"{100 * one.gain:.1f} % below {one.other} (p {one.p_value:.4f})" for one in found.comparisons
        )
        return f"{serves} passed the gate: loss {gains}; before it {was} served"
    if champion is None:
        return f"no challenger passed the gate and nothing served: {naive} serves"
    if champion.name == serves:
        kind = ", a naive model," if serves in naives else ""
        return f"no challenger passed the gate: {was}{kind} serves on"
    return f"no challenger passed the gate, and {naive} beats {was}: it serves"


def log_judgement(settings: Settings, judgement: Judgement) -> None:
    """Put the judgement, whole, into the MLflow run of every judged version, and a word of it on run and version.

    Not into that of a naive version of an earlier retrain: its run tells of that one.

    Raises
    ------
    UnavailableError
        MLflow does not answer.
    """
    client = connect(settings)
    with mlflow_answering(settings.model_name):
        for kind, version in judgement.versions.items():
            tags = {GATE: judgement.gate[kind], "gate_why": judgement.why, **_summarise(judgement.verdict, kind)}
            tags[_DESCRIPTION] = _describe(judgement, kind)
            row = client.get_model_version(settings.model_name, str(version))
            if row.tags.get(REQUEST) != f"{judgement.retrain_id} {kind}":
                continue
            run_id = row.run_id
            client.log_dict(run_id, asdict(judgement), JUDGEMENT)
            for key, value in tags.items():
                client.set_tag(run_id, key, value)
            for key in (GATE, "gate_why"):
                client.set_model_version_tag(settings.model_name, str(version), key, tags[key])


def _describe(judgement: Judgement, kind: str) -> str:
    """Say in Markdown what the gate made of a model, and where its numbers are."""
    return (
        f"**{judgement.gate[kind]}**: {judgement.why}\n\nUnder *Artifacts*: every number of the verdict in"
        f" `{JUDGEMENT}`, pictures and metrics by cohort in `{EVIDENCE}/`."
    )


def _summarise(verdict: Mapping[str, Any] | None, kind: str) -> dict[str, str]:
    """p-values and failed checks of a challenger, as tags."""
    found = next((one for one in verdict["challengers"] if one["name"] == kind), None) if verdict else None
    if found is None:
        return {}
    failed = [check["name"] for check in found["checks"] if not check["holds"]]
    said = {f"gate_p_{one['other']}": f"{one['p_value']:.4f}" for one in found["comparisons"]}
    return said | {"gate_failed_checks": ", ".join(failed), "gate_unchecked": ", ".join(found["unchecked"])}
