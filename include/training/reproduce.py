"""Make a registered version again from what its run recorded, and say how near the result comes.

The same snapshot, hyperparameters, seed, code and libraries on the same machine are to give the same ONNX bytes, or
forecasts equal to 1e-6. Where they do not, what differs from the recorded circumstances is named beside the distance.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from enum import StrEnum
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Any

import numpy as np

from include.backtest.heldout import HeldOut, forecast_held_out, hold_out
from include.backtest.walk_forward import OnProgress, relay_progress, sample_before
from include.errors import NotFoundError
from include.lake.bars import BarCube, open_bars
from include.provenance import code_version, environment_hash
from include.registry.artifact import describe_version, fetch_artifact, hash_file, read_canonical
from include.settings import Settings
from include.training.record import require_known
from include.training.recorded import Recorded, read_recorded
from include.training.snapshot import Snapshot, hash_content, read_snapshot
from models.catalog import build_model
from models.protocol import Model

TOLERANCE = 1e-6
"""Log return by which two forecasts of what counts as one model may differ: float32's last digits."""


class Outcome(StrEnum):
    """How near a refit came."""

    SAME_BYTES = "same bytes"
    SAME_FORECASTS = "same forecasts"
    DIFFERS = "differs"


@dataclass(frozen=True)
class Reproduction:
    """What came of a refit.

    Attributes
    ----------
    outcome
        The same ONNX bytes, forecasts within `TOLERANCE`, or neither.
    largest_difference
        Between the forecasts of both graphs in the held-out cells, log return; infinite where only one says anything.
    cells
        Forecasts that were compared, both targets counted.
    recorded_sha256, refitted_sha256
        Hashes of the graphs.
    changes
        What is not as it was when the version was made, a sentence each.
    """

    version: int
    kind: str
    outcome: Outcome
    largest_difference: float
    cells: int
    recorded_sha256: str
    refitted_sha256: str
    changes: tuple[str, ...]

    def summary(self) -> str:
        """Return lines for people."""
        said = {
            Outcome.SAME_BYTES: "the refit gives the same ONNX bytes",
            Outcome.SAME_FORECASTS: f"the refit's forecasts are the same to {TOLERANCE:g}: they differ by at most"
            f" {self.largest_difference:.2g} in {self.cells:,}",
            Outcome.DIFFERS: f"the refit differs: by up to {self.largest_difference:.3g} in {self.cells:,} forecasts",
        }
        return "\n".join([f"Version {self.version} ({self.kind}): {said[self.outcome]}", *self.changes])


def reproduce_version(settings: Settings, version: int, on_progress: OnProgress | None = None) -> Reproduction:
    """Fit a version again and compare both graphs on the held-out sessions.

    Raises
    ------
    NotFoundError
        The version, its run, its graph, its kind of model or its bars are not there any more.
    BlockedError
        Its snapshot no longer passes its validation.
    """
    recorded = read_recorded(settings, version)
    kind = recorded.row.kind
    require_known([kind])
    artifact = fetch_artifact(settings, describe_version(settings, version, recorded.row.tags))
    assert artifact.onnx is not None  # it was fetched
    cube = _read_bars(settings, recorded.snapshot)
    cut = cube.sessions.index(recorded.snapshot.holdout_from)
    model = rebuild_model(kind, recorded.params)
    with tempfile.TemporaryDirectory() as folder:
        refitted = Path(folder) / "model.onnx"
        _refit(settings, recorded, model, cube, cut=cut, path=refitted, on_progress=on_progress)
        held = hold_out(cube, cut)
        graphs = ((artifact.onnx, artifact.lookback), (refitted, model.lookback))
        difference, cells = _compare_graphs(graphs, cube, held, settings.threads)
        outcome = _judge(artifact.onnx, refitted, difference)
        refitted_sha256 = hash_file(refitted)
    changes = list_changes(settings, recorded, hash_content(cube))
    return Reproduction(
        version, kind, outcome, difference, cells, artifact.onnx_sha256, refitted_sha256, tuple(changes)
    )


def rebuild_model(kind: str, params: Mapping[str, str]) -> Model:
    """Build a model with recorded hyperparameters, texts as MLflow keeps them; its own defaults for what is not there.

    Examples
    --------
    >>> rebuild_model("ridge", {"alpha": "3.5"}).hyperparameters.alpha
    3.5
    """
    model = build_model(kind)
    chosen = asdict(model.hyperparameters)
    found = {name: _read_param(text, chosen[name]) for name, text in params.items() if name in chosen}
    built: Model = type(model)(_fill(model.hyperparameters, found))  # type: ignore[call-arg]
    return built


def _read_param(text: str, default: Any) -> Any:
    if isinstance(default, str):
        return text
    try:
        return loads(text)
    except JSONDecodeError:
        return text


def _fill(default: Any, found: Any) -> Any:
    """Put what was read into the shape of the default: JSON has neither tuples nor dataclasses."""
    if is_dataclass(default) and not isinstance(default, type) and isinstance(found, Mapping):
        own = {each.name: getattr(default, each.name) for each in fields(default)}
        return replace(default, **{name: _fill(own[name], value) for name, value in found.items() if name in own})
    return tuple(found) if isinstance(default, tuple) and isinstance(found, list) else found


def list_changes(settings: Settings, recorded: Recorded, content_sha256: str) -> list[str]:
    """Name what is not as it was when a version was made; `content_sha256` is of the bars as they are read now.

    The table's version alone does not say what is read of it: symbol changes are applied on the way.
    """
    now = {
        "bars' content": ("content_sha256", content_sha256),
        "code version": ("code_version", code_version()),
        "environment's hash": ("environment_hash", environment_hash()),
        "settings' hash": ("settings_hash", settings.fingerprint()),
    }
    tags = recorded.row.tags
    changes = [
        f"the {name} was {tags.get(tag, 'not recorded')} and is {value}"
        for name, (tag, value) in now.items()
        if tags.get(tag) != value
    ]
    known = fields(build_model(recorded.row.kind).hyperparameters)
    return changes + [
        f"the hyperparameter {each.name} was not recorded" for each in known if each.name not in recorded.params
    ]


def _read_bars(settings: Settings, snapshot: Snapshot) -> BarCube:
    try:
        open_bars(settings.lake, version=snapshot.bars_version)
    except NotFoundError as error:
        kept = f"they are kept for {settings.audit_window_days} days"
        rule = f"the bars that a version was fitted on must still be there, and {kept}"
        raise NotFoundError(rule, value=f"bars version {snapshot.bars_version}", place="bars") from error
    return read_snapshot(settings, snapshot)


def _refit(
    settings: Settings,
    recorded: Recorded,
    model: Model,
    cube: BarCube,
    *,
    cut: int,
    path: Path,
    on_progress: OnProgress | None,
) -> None:
    """Fit as the version was fitted and write the graph."""
    seed = int(recorded.params.get("seed", settings.seed))
    limit = int(recorded.params.get("train_windows", settings.train_windows))
    market = model.market_columns
    seen = sample_before(cube.values, cut, lookback=model.lookback, limit=limit, seed=seed, market=market)
    assert seen.targets is not None  # sample_before always gives them

    told = relay_progress(model.name, on_progress)
    fitted = model.fit(seen.windows, seen.targets, seed=seed, threads=settings.threads, on_progress=told)
    fitted.save_onnx(path)


def _compare_graphs(
    graphs: tuple[tuple[Path, int], ...], cube: BarCube, held: HeldOut, threads: int
) -> tuple[float, int]:
    """Largest difference of two graphs' forecasts, and how many were compared; NaN in both is no difference."""
    one, other = (
        forecast_held_out(path, cube, held, lookback=lookback, threads=threads)[held.cells].astype(np.float64)
        for path, lookback in graphs
    )
    differences = np.where(np.isnan(one) & np.isnan(other), 0.0, np.abs(one - other))
    return float(np.where(np.isnan(differences), np.inf, differences).max()), differences.size


def _judge(recorded: Path, refitted: Path, difference: float) -> Outcome:
    if read_canonical(recorded) == read_canonical(refitted):
        return Outcome.SAME_BYTES
    return Outcome.SAME_FORECASTS if difference <= TOLERANCE else Outcome.DIFFERS
