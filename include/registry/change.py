"""Change which version serves: registry, ledger and what is written down for a run without a registry, as one.

Neither a file nor the ledger can commit together with the registry. So what is to be done is written down first, under
a lock that all processes of the home share; whoever takes the lock next finishes what a dead process left. Each step
can be repeated, so that a kill at any point and a rerun leave one version in Production and one line in the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from include.disk import explain_disk
from include.errors import NotFoundError, UnavailableError
from include.files import write_atomically
from include.registry.api import Registry, RegistryState
from include.registry.artifact import (
    ModelVersion,
    describe_version,
    fetch_artifact,
    remember_serving,
)
from include.registry.ledger import Line, append_line, find_anchor_faults, name_anchor, select_model
from include.registry.lines import tell_line
from include.scoring.graph import find_misfit
from include.settings import Settings

LOCK_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Change:
    """A line to be, and whether stage and alias move with it; see `include.registry.ledger.Line`."""

    from_version: int | None
    to_version: int | None
    action: str
    who: str
    why: str
    request: str
    moved_at: str | None = None
    detail: str | None = None
    moves_registry: bool = True
    graph_sha256: str | None = None

    def as_line(self) -> dict[str, Any]:
        """Return what `append_line` takes."""
        said = {key: value for key, value in asdict(self).items() if key != "moves_registry"}
        return said | {"moved_at": datetime.fromisoformat(self.moved_at) if self.moved_at else None}


@contextmanager
def lock_registry(settings: Settings) -> Iterator[None]:
    """Hold the lock under which what serves is changed.

    Raises
    ------
    UnavailableError
        Another process has held it for long, or no room is left on the disk.
    InputError
        There is no right to write.
    """
    path = settings.model_cache / ".promote.lock"
    try:
        with explain_disk("what serves", str(settings.model_cache)):
            settings.model_cache.mkdir(parents=True, exist_ok=True)
            with FileLock(path, timeout=LOCK_TIMEOUT_S):
                yield
    except Timeout as error:
        rule = f"another change of what serves must end within {LOCK_TIMEOUT_S:.0f} s"
        raise UnavailableError(rule, place=str(path)) from error


def make_change(settings: Settings, registry: Registry, lines: Sequence[Line], change: Change) -> list[Line]:
    """Carry a change out, so that another process can finish it; return the ledger with its line."""
    write_atomically(_pending_file(settings), json.dumps(asdict(change)))
    return _carry_out(settings, registry, lines, change)


def has_pending(settings: Settings) -> bool:
    """Whether a change was begun and not ended."""
    return _pending_file(settings).exists()


def finish_pending(settings: Settings, registry: Registry, lines: Sequence[Line]) -> list[Line]:
    """Carry out what a dead process began; a version that was deleted meanwhile is let go."""
    path = _pending_file(settings)
    try:
        change = Change(**json.loads(path.read_text()))
    except FileNotFoundError:
        return list(lines)
    except (ValueError, TypeError):  # the machine went down before the text was on the disk: nothing else was done yet
        path.unlink()
        return list(lines)
    try:
        return _carry_out(settings, registry, lines, change)
    except NotFoundError:
        path.unlink()
        return list(lines)


def _carry_out(settings: Settings, registry: Registry, lines: Sequence[Line], change: Change) -> list[Line]:
    result, state = list(lines), registry.look()
    if change.to_version is not None and change.moves_registry:
        require_graph(settings, state, change.to_version, change.graph_sha256)
        move_both(registry, state, change.to_version)
    if change.request not in {line.request for line in select_model(settings, lines)}:
        result.append(append_line(settings, lines, change.as_line()))
    anchor_ledger(registry, result)
    if change.to_version is not None and (change.moves_registry or change.to_version != change.from_version):
        found = fetch_registered(settings, registry.look(), change.to_version, graph=change.graph_sha256)
        remember_serving(settings, found)
    line = next(line for line in reversed(select_model(settings, result)) if line.request == change.request)
    tell_line(settings, line)  # again by whoever finishes what a dead process began: it is told once by its key
    _pending_file(settings).unlink(missing_ok=True)
    return result


def anchor_ledger(registry: Registry, lines: Sequence[Line]) -> None:
    """Write the newest line's hash into the registry, where who cuts the ledger short does not reach.

    A hash there that the ledger does not hold stays: a line behind a cut must not hide it.
    """
    key = name_anchor(lines)
    known = registry.look().tags.get(key)
    if known is None or not find_anchor_faults(lines, known):
        registry.tag_model(key, f"{lines[-1].sequence} {lines[-1].hash}")


def move_both(registry: Registry, state: RegistryState, version: int) -> None:
    """Put a version into Production, alone, and the alias on it, as far as they are elsewhere."""
    if state.in_production != {version}:
        registry.put_in_production(version)
    if state.champion != version:
        registry.name_champion(version)


def require_graph(settings: Settings, state: RegistryState, version: int, graph: str | None) -> None:
    """Refuse a version that is not registered, or with another graph than this SHA-256; None allows any.

    Raises
    ------
    NotFoundError
        Names both.
    """
    if version not in state.versions:
        rule = f"model {settings.model_name} must be registered, with this version"
        raise NotFoundError(rule, value=version, place="registry")
    found = state.versions[version].tags.get("onnx_sha256", "none")
    if graph is not None and found != graph:
        rule = f"version {version} must have the graph that was promoted, {graph[:16]}"
        raise NotFoundError(rule, value=found[:16], place=f"{settings.model_name} version {version}")


def fetch_registered(
    settings: Settings, state: RegistryState, version: int, *, graph: str | None = None
) -> ModelVersion:
    """Return a registered version with its graph on this machine.

    `graph` is the SHA-256 that its graph must have, where that is known from elsewhere than the registry.

    Raises
    ------
    NotFoundError
        It is not registered, lacks a tag, or its graph is not as it was registered or promoted, or cannot be run over
        windows.
    """
    require_graph(settings, state, version, graph)
    found = fetch_artifact(settings, describe_version(settings, version, state.versions[version].tags))
    assert found.onnx is not None  # it was fetched
    if misfit := find_misfit(found.onnx, lookback=found.lookback, horizons=found.horizons):
        rule = f"a version's graph must turn windows (n, {found.lookback}, 6) into log returns (n, 2)"
        raise NotFoundError(rule, value=misfit, place=f"{settings.model_name} version {version}")
    return found


def _pending_file(settings: Settings) -> Path:
    return settings.model_cache / settings.model_name / "pending.json"
