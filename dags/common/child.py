"""A task's work in a child process, and which of its failures no further try can mend."""

from __future__ import annotations

from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from include.errors import BlockedError, InputError
from include.system import child


def run_child(target: str, *arguments: Any) -> Any:
    """Call `include.system.child.run_child`; input that breaks a rule and a session that is blocked fail at once.

    The next try would read the same file and meet the same rule, and the message would come that much later.
    """
    try:
        return child.run_child(target, *arguments)
    except (InputError, BlockedError) as error:
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error
