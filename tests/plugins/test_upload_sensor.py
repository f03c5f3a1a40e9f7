"""The wait for a session's upload: what the triggerer does, and what it does while an object store is away."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.triggers.base import TaskSuccessEvent

from include.object_store import ObjectStore
from include.settings import Settings, load_settings
from plugins.upload_sensor import UploadSensor, UploadTrigger, is_session_here

pytestmark = pytest.mark.filterwarnings("default")  # Airflow's own warnings

DAY = "2018-06-01"


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings as the triggerer reads them: from the environment."""
    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    monkeypatch.setenv("CLOSECAST_STORE_RETRY_S", "0")
    load_settings.cache_clear()
    yield settings
    load_settings.cache_clear()


def land(settings: Settings) -> None:
    settings.inbox.mkdir(parents=True)
    (settings.inbox / f"{DAY}.csv").write_text("x")


async def first_event(trigger: UploadTrigger) -> Any:
    return await asyncio.wait_for(anext(aiter(trigger.run())), 10)


def test_the_trigger_fires_once_the_upload_is_there(home: Settings) -> None:
    async def wait() -> Any:
        event = asyncio.ensure_future(first_event(UploadTrigger(DAY, 0.05)))
        await asyncio.sleep(0.3)
        assert not event.done()
        land(home)
        return await event

    assert isinstance(asyncio.run(wait()), TaskSuccessEvent)


def test_the_sensor_returns_at_once_where_the_upload_is_there(home: Settings) -> None:
    land(home)
    assert UploadSensor(task_id="wait", session=DAY).execute({}) is None


@pytest.mark.parametrize(
    ("given", "uploads", "expected"), [(None, "", 1.0), (None, "s3://bucket", 5.0), (0.2, "", 0.2)]
)
def test_the_sensor_leaves_the_waiting_to_the_triggerer(
    home: Settings, monkeypatch: pytest.MonkeyPatch, given: float | None, uploads: str, expected: float
) -> None:
    monkeypatch.setenv("CLOSECAST_UPLOADS", uploads)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    sensor = UploadSensor(task_id="wait", session=DAY, poke_interval_s=given, timeout=60)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    assert deferred.value.timeout == timedelta(seconds=60)
    path, arguments = deferred.value.trigger.serialize()
    assert path.endswith("upload_sensor.UploadTrigger")
    assert arguments == {"session": DAY, "poke_interval_s": expected}


@pytest.mark.parametrize("session", ["", None, "yesterday"])
def test_a_run_without_a_session_fails_without_retries(home: Settings, session: str | None) -> None:
    with pytest.raises(AirflowFailException, match="must say its session"):
        UploadSensor(task_id="wait", session=session).execute({})


def test_a_store_that_is_away_is_a_line_in_the_log_and_another_look(
    home: Settings, bucket: str, s3_server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CLOSECAST_UPLOADS", f"{bucket}/daily")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING):
        assert not is_session_here(DAY)
    assert "the object store must answer" in caplog.text
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    assert not is_session_here(DAY)
    ObjectStore().write(io.BytesIO(b"x"), f"{bucket}/daily/inbox/{DAY}.csv")
    assert is_session_here(DAY)
