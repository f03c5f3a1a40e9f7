"""The same store in Postgres."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from include.alerts import store as store_module
from include.alerts.deliver import deliver
from include.alerts.overview import read_overview
from include.alerts.report import report_incident, report_recovery
from include.alerts.spool import list_spooled
from include.alerts.store import metadata
from include.settings import Settings
from tests.fakes import FakeSlack
from tests.include.alerts.scenes import make_incident, with_webhook
from tests.postgres import run_postgres

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with run_postgres() as address:
        yield address


@pytest.fixture
def store(settings: Settings, address: str) -> Iterator[Settings]:
    engine = sa.create_engine(address)
    metadata.drop_all(engine)
    store_module._engine.cache_clear()
    yield settings.model_copy(update={"alerts_url": SecretStr(address)})
    store_module._engine.cache_clear()
    metadata.drop_all(engine)
    engine.dispose()


def _report_many(home: Path, address: str, me: int, count: int) -> None:
    settings = Settings(home=home, alerts_url=SecretStr(address), _env_file=None)
    for number in range(count):
        report_incident(settings, make_incident(f"run_failed/dag{number % 3}", parts=(f"task{me}-{number}",)))


def test_processes_that_begin_at_once_make_the_tables_and_lose_nothing(store: Settings, address: str) -> None:
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=_report_many, args=(store.home, address, me, 20)) for me in range(4)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    deliver(store, deadline_s=5)  # what was laid down while the machine was busy
    found = read_overview(store, time.time())
    assert list_spooled(store) == []
    assert {each.key for each in found.episodes} == {f"run_failed/dag{number}" for number in range(3)}
    assert len({part for each in found.episodes for part in each.parts}) == 80


def tell(settings: Settings, slack: FakeSlack, messages: int) -> None:
    """Deliver until Slack has so many messages; who reported may still be at it, on a busy machine."""
    ends = time.monotonic() + 30
    while len(slack.posts) < messages and time.monotonic() < ends:
        deliver(settings, deadline_s=2)
        time.sleep(0.1)


def test_an_incident_and_its_end_are_told(store: Settings) -> None:
    with FakeSlack() as slack:
        told = with_webhook(store, slack)
        report_incident(told, make_incident(), is_complete=True)
        tell(told, slack, 1)
        report_recovery(told, "run_failed/market_close", note="it works")
        tell(told, slack, 2)
        opened, over = (post["text"] for post in slack.posts)
    assert "market_close failed: ValueError: no price" in opened
    assert "Recovered: market_close failed, after" in over


def test_a_server_that_does_not_answer_holds_nobody_and_loses_nothing(store: Settings) -> None:
    gone = store.model_copy(update={"alerts_url": SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/none")})
    started = time.monotonic()
    assert report_incident(gone, make_incident()) == ""
    assert time.monotonic() - started < 2
    deliver(store, deadline_s=5)
    assert [each.key for each in read_overview(store, time.time()).episodes] == ["run_failed/market_close"]
