"""What MLflow's server asks of each request beside its user's password: is it a move, and who makes it?

Named as `authorization_function` in the server's configuration (`include.system.mlflow_users`), which MLflow calls
first in each request. A move that it then carries out is written into the registry, by the store that the server
itself writes to: MLflow's own tables keep no name.
"""

from __future__ import annotations

import functools
import json
import logging
from typing import Any

from flask import Response, after_this_request, g, request
from mlflow.entities.model_registry import RegisteredModelTag
from mlflow.server.auth import authenticate_request_basic_auth
from mlflow.server.handlers import _get_model_registry_store
from werkzeug.datastructures import Authorization

from include.registry.api import CHAMPION, PRODUCTION
from include.registry.moves import ALIAS, DELETE, RESERVED, STAGE, note_move

_TAGS = ("/registered-models/set-tag", "/registered-models/delete-tag")
"""However the path begins: better refuse too much."""
_MOVES = {
    ("POST", "model-versions/transition-stage"): STAGE,
    ("POST", "registered-models/alias"): ALIAS,
    ("DELETE", "model-versions/delete"): DELETE,
}
"""Method and path, behind /api/2.0/mlflow/ or /ajax-api/2.0/mlflow/, of the requests that move something."""

_logger = logging.getLogger(__name__)


def authenticate() -> Authorization | Response:
    """Check user and password as MLflow does, refuse forged moves, and write true ones down once they are made."""
    found: Authorization | Response = authenticate_request_basic_auth()
    if isinstance(found, Response) or g.get("closecast_asked", False):  # MLflow asks several times in one request
        return found
    g.closecast_asked = True
    if request.path.endswith(_TAGS) and str(_read_body().get("key", "")).startswith(RESERVED):
        return Response(f"tags that begin with {RESERVED} are written by the server alone", 403)
    kind = _MOVES.get((request.method, request.path.rpartition("/mlflow/")[2]))
    if kind and _decides(kind, said := _read_body()):
        after_this_request(functools.partial(_note, kind, said, str(found.username)))
    return found


def _read_body() -> dict[str, Any]:
    said = request.get_json(force=True, silent=True)
    if isinstance(said, str):  # MLflow takes JSON that was encoded twice
        try:
            said = json.loads(said)
        except ValueError:
            return {}
    return said if isinstance(said, dict) else {}


def _decides(kind: str, said: dict[str, Any]) -> bool:
    """Whether a move is one of those that decide who serves."""
    if kind == STAGE:
        return str(said.get("stage", "")).casefold() == PRODUCTION.casefold()
    return kind == DELETE or said.get("alias") == CHAMPION


def _note(kind: str, said: dict[str, Any], who: str, response: Response) -> Response:
    """Write down a move that was made; one that cannot be written down is made all the same, by somebody unknown."""
    if response.status_code == 200:
        try:
            key, value = note_move(kind, int(said["version"]), who)
            _get_model_registry_store().set_registered_model_tag(str(said["name"]), RegisteredModelTag(key, value))
        except Exception:
            _logger.exception("a move of %s was not written down", kind)
    return response
