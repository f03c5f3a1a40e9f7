"""The expectations in force: a YAML file, read strictly, with a hash that says which version judged.

Three suites: `rows` at ingest, `session` before a score, `snapshot` before a training. The file that comes with the
project holds for everyone who names no other by CLOSECAST_EXPECTATIONS.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.errors import InputError
from include.quality.kinds import AnyRow, AnySession, AnySnapshot
from include.settings import Settings

_PLAIN = {
    "extra_forbidden": "no such parameter for this kind",
    "missing": "a parameter that this kind must have",
    "union_tag_not_found": "an entry must name its kind",
}

DEFAULT_FILE = Path(__file__).with_name("expectations.yaml")


class Suites(BaseModel):
    """The three suites of a file; each entry is one of the models of `include.quality.kinds`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    rows: Annotated[list[AnyRow], Field(min_length=1)]
    session: Annotated[list[AnySession], Field(min_length=1)]
    snapshot: Annotated[list[AnySnapshot], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_differ(self) -> Suites:
        for suite in ("rows", "session", "snapshot"):
            names = [entry.name for entry in getattr(self, suite)]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"a name must come once in the suite {suite}: {', '.join(twice)}")
        return self

    @property
    def suite_hash(self) -> str:
        """Hash of everything that judges: kinds, severities, limits and words; layout and comments do not count."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def load_suites(settings: Settings) -> Suites:
    """Load the suites that hold for an installation.

    Raises
    ------
    InputError
        The file cannot be read, or an entry of it breaks a rule: names file, entry and value.
    """
    return read_suites(settings.expectations or DEFAULT_FILE)


def read_suites(path: Path) -> Suites:
    """Read a file of suites; the same bytes are parsed once a process.

    Raises
    ------
    InputError
        See `load_suites`.
    """
    try:
        return _parse(path.read_bytes(), str(path))
    except OSError as error:
        rule = "expectations must be a file that can be read"
        raise InputError(rule, value=error.strerror, place=str(path)) from error


@lru_cache(maxsize=4)
def _parse(content: bytes, place: str) -> Suites:
    try:
        found = yaml.load(content, Loader=_Loader)  # noqa: S506  # a SafeLoader that knows one more form of numbers
    except RecursionError as error:
        raise InputError(
            "expectations must be nested as deep as suites are", value="far deeper", place=place
        ) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2018-13-45 looks like a date
        rule = "expectations must be YAML"
        raise InputError(rule, value=" ".join(str(error).split()), place=place) from error
    if not isinstance(found, dict) or set(found) != {"suites"}:
        named = ", ".join(map(str, found)) if isinstance(found, dict) else type(found).__name__
        raise InputError("expectations must have the one key `suites`", value=named, place=place)
    suites = found["suites"]
    if not isinstance(suites, dict) or set(suites) != set(Suites.model_fields):
        named = ", ".join(map(str, suites)) if isinstance(suites, dict) else type(suites).__name__
        raise InputError(f"suites must be {', '.join(Suites.model_fields)}", value=named, place=place)
    try:
        return Suites.model_validate(suites)
    except ValidationError as error:
        raise _as_input_error(error, suites, place) from error


class _Loader(yaml.SafeLoader):
    """Reads 1e-8 as a number: YAML 1.1 wants a dot in it, people do not, and a key that comes twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that comes twice: the last would win in silence."""
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.MarkedYAMLError(problem=f"key {key.value} comes twice", problem_mark=key.start_mark)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _as_input_error(error: ValidationError, suites: Any, place: str) -> InputError:
    """Say the first fault as file, suite and entry, parameter, value."""
    first = error.errors(include_url=False)[0]
    suite, *where = [str(part) for part in first["loc"]] or ["every suite"]
    # Between the entry's position and the parameter the path names the kind, which the entry's name makes clear.
    said = ", ".join(filter(None, [_name_entry(suites, suite, where), ".".join(where[2:])]))
    rule = _PLAIN.get(first["type"], first["msg"].removeprefix("Value error, "))
    received = first.get("input")
    if first["type"].startswith("union_tag"):
        received = (first.get("ctx") or {}).get("tag", "no kind")
    return InputError(f"{said}: {rule}", value=None if isinstance(received, dict) else received, place=place)


def _name_entry(suites: Any, suite: str, where: list[str]) -> str:
    try:
        entry = suites[suite][int(where[0])]
        return f"suite {suite}, entry {entry.get('name', int(where[0]) + 1)}"
    except (LookupError, TypeError, ValueError, AttributeError):
        return f"suite {suite}"
