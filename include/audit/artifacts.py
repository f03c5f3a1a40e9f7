"""The graphs that made forecasts, in the cache and in the registry's store, held against the hash in the runs' rows."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from include.audit.findings import Checked, Finding
from include.audit.recall import describe_model
from include.errors import NotFoundError, UnavailableError
from include.lake.runs import Run
from include.registry.api import Registered
from include.registry.artifact import ModelVersion, cached_graph, hash_file
from include.registry.open import open_registry
from include.registry.verify import verify_ledger
from include.settings import Settings


def check_artifacts(settings: Settings, runs: Sequence[Run]) -> Checked:
    """Check each graph that made a run, wherever it is."""
    used: dict[tuple[str, int, str], list[Run]] = {}
    for run in runs:
        used.setdefault((run.model_name, run.model_version, run.onnx_sha256), []).append(run)
    findings: list[Finding] = []
    notes: list[str] = []
    for several in used.values():
        own = settings.model_copy(update={"model_name": several[0].model_name})
        version, run_ids = describe_model(several[0]), tuple(run.run_id for run in several)
        cached = cached_graph(own, version)
        if cached.is_file() and hash_file(cached) != version.onnx_sha256:
            findings.append(_tell(version, f"in the cache ({cached.name})", run_ids))
        try:
            findings += _check_registered(own, version, open_registry(own).look().versions, run_ids)
        except (NotFoundError, UnavailableError) as error:
            notes.append(f"version {version.version} could not be held against the registry: {error}")
    return Checked("artifact", len(used), "graphs", tuple(findings), tuple(notes))


def _check_registered(
    settings: Settings, version: ModelVersion, known: Mapping[int, Registered], run_ids: tuple[str, ...]
) -> list[Finding]:
    if version.version not in known:
        raise NotFoundError("a version must be registered", value="removed", place=version.name)
    findings = []
    tag = known[version.version].tags.get("onnx_sha256")
    if tag != version.onnx_sha256:
        findings.append(_tell(version, f"by its tag in the registry ({str(tag)[:12]})", run_ids))
    from include.registry.download import download_graph

    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "graph.onnx"
        download_graph(settings, version.name, version.version, graph)
        if hash_file(graph) != version.onnx_sha256:
            findings.append(_tell(version, "in the registry's store", run_ids))
    return findings


def _tell(version: ModelVersion, where: str, run_ids: tuple[str, ...]) -> Finding:
    said = f"the graph of version {version.version} is another {where} than the runs were made by"
    return Finding("artifact", said, run_ids, column="onnx_sha256")


def check_ledger(settings: Settings) -> Checked:
    """Check the promotion ledger: its chain, and its newest line as the registry knows it."""
    found = verify_ledger(settings)
    findings = tuple(Finding("ledger", fault) for fault in found.faults)
    return Checked("ledger", found.lines, "lines", findings, (found.note,) if found.note else ())
