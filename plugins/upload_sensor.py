"""Waits for a session's upload without holding a worker: the triggerer looks, and ends the task itself.

A file counts once it stands under its final name in the inbox (see `include.ingest.inbox`). A session whose bars are
in the lake already, from a bulk load or an earlier run, has nothing to wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


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
        Seconds between looks.
    """

    template_fields: Sequence[str] = ("session",)

    def __init__(self, *, session: str, poke_interval_s: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.session, self.poke_interval_s = session, poke_interval_s

    def execute(self, context: Context) -> None:
        """Return at once where the upload is there, else leave the waiting to the triggerer."""
        require_session(self.session)
        if not is_session_here(self.session):
            trigger = UploadTrigger(self.session, self.poke_interval_s)
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
    """Whether the inbox holds an upload of the session, or bars hold the session."""
    from include.ingest.inbox import list_arrived
    from include.settings import load_settings

    settings = load_settings()
    return bool(list_arrived(settings, date.fromisoformat(session))) or _has_partition(settings.lake, session)


def _has_partition(lake: Any, session: str) -> bool:
    return any((lake / "bars" / f"session={session}").glob("*.parquet"))
