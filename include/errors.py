"""The errors a user can cause or meet, each with its exit code.

    ClosecastError            1
    ├── InputError            3   an upload, an argument or a file breaks a rule
    ├── NotFoundError         4   a model, a session, a table that is not there
    ├── BlockedError          5   a gate refused a session, a snapshot or a retrain
    │   └── LeakError             a leak test of a retrain failed
    └── UnavailableError      6   a service that does not answer, or already runs

Exit code 2 is Typer's own, for a command line that it cannot read. Every message names the rule, what came, and where.
"""

from __future__ import annotations


class ClosecastError(Exception):
    """A failure that a person can act on.

    Parameters
    ----------
    rule
        What must hold, as a sentence without a full stop.
    value
        What came instead.
    place
        File, row, column, table or setting where it came from.
    """

    exit_code = 1

    def __init__(self, rule: str, *, value: object = None, place: str | None = None) -> None:
        self.rule, self.value, self.place = rule, value, place
        received = "" if value is None else f". Received: {value}"
        where = "" if place is None else f" (in {place})"
        super().__init__(f"{rule}{received}{where}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.rule, self.value, self.place)


def _rebuild(cls: type[ClosecastError], rule: str, value: object, place: str | None) -> ClosecastError:
    """Make the error again in the process that receives it (a task's child hands its error over by pickle)."""
    return cls(rule, value=value, place=place)


class InputError(ClosecastError):
    """An upload, an argument or a file breaks a rule; nothing was written."""

    exit_code = 3


class NotFoundError(ClosecastError):
    """A model, a session or a table that was asked for is not there."""

    exit_code = 4


class BlockedError(ClosecastError):
    """A gate refused a session, a snapshot or a retrain."""

    exit_code = 5


class LeakError(BlockedError):
    """A leak test failed, by its name: what a model was fitted or judged on knew what was to come."""


class UnavailableError(ClosecastError):
    """A service does not answer, or runs already."""

    exit_code = 6
