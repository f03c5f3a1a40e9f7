"""Waits for a session's upload without holding a worker: the triggerer looks, and ends the task itself.

What counts as here is in `include.ingest.arrival`: a finished upload in the inbox, or a lake that has the session. An
object store that does not answer is looked at again, until the wait as a whole has taken too long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

_log = logging.getLogger(__name__)


class UploadTrigger(BaseTrigger):
    """Fires when a session has its upload.

    Parameters
    ----------
    session
        ISO date.
    poke_interval_s
        Seconds between looks.
    """

    def __init__(self, session: str, poke_interval_s: float) -> None:
        super().__init__()
        self.session, self.poke_interval_s = session, poke_interval_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give what the triggerer needs to make the trigger again."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"session": self.session, "poke_interval_s": self.poke_interval_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, sleep, look again; end the task in the triggerer, so that no worker starts for it."""
        while not await asyncio.to_thread(is_session_here, self.session):
            await asyncio.sleep(self.poke_interval_s)
        yield TaskSuccessEvent()


class UploadSensor(BaseSensorOperator):
    """Succeeds when a session has its upload.

    Parameters
    ----------
    session
        ISO date; templated.
    poke_interval_s
        Seconds between looks; by default as CLOSECAST_UPLOAD_POKE_S says.
    """

    template_fields: Sequence[str] = ("session",)

    def __init__(self, *, session: str, poke_interval_s: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.session, self.poke_interval_s = session, poke_interval_s

    def execute(self, context: Context) -> None:
        """Return at once where the upload is there, else leave the waiting to the triggerer."""
        require_session(self.session)
        if not is_session_here(self.session):
            trigger = UploadTrigger(self.session, self.poke_interval_s or _default_interval_s())
            self.defer(trigger=trigger, method_name="resume", timeout=timedelta(seconds=self.timeout))

    def resume(self, context: Context, event: Any = None) -> None:
        """Nothing is left to do: reached only where a triggerer older than this file ended the wait."""


def require_session(session: str | None) -> None:
    """Fail at once, without retries, for a run that does not say its session."""
    try:
        date.fromisoformat(session or "")
    except ValueError as error:
        rule = f"a manual run must say its session as YYYY-MM-DD in the form or conf. Received: {session!r}"
        raise AirflowFailException(rule) from error


def is_session_here(session: str) -> bool:
    """Whether the session has its upload; False, with a line in the log, while the object store does not answer."""
    from include.errors import UnavailableError
    from include.ingest import arrival
    from include.settings import load_settings

    try:
        return arrival.is_session_here(load_settings(), date.fromisoformat(session))
    except UnavailableError as error:
        _log.warning("looked for the upload of %s in vain: %s", session, error)
        return False


def _default_interval_s() -> float:
    from include.settings import load_settings

    return load_settings().poke_s
