"""Quiet hours, maintenance, switches and choices by severity, as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from include.alerts.incidents import Severity
from include.alerts.policy import check_kinds, is_switched_on, read_by_severity, read_policy
from include.errors import InputError
from include.settings import Settings


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def choose(settings: Settings, **changed: str | None) -> Settings:
    return settings.model_copy(update=changed)


@pytest.mark.parametrize(
    ("moment", "held"),
    [
        ("2026-10-16T19:59", False),
        ("2026-10-16T20:00", True),  # 22:00 in Berlin, summer time
        ("2026-10-17T04:59", True),
        ("2026-10-17T05:00", False),
        ("2026-10-30T20:30", False),  # 21:30 after the clocks went back
        ("2026-10-30T21:00", True),
    ],
)
def test_quiet_hours_are_the_zones_own_and_go_over_midnight(settings: Settings, moment: str, held: bool) -> None:
    policy = read_policy(choose(settings, alerts_quiet="22:00-07:00", alerts_timezone="Europe/Berlin"))
    assert policy.is_held(Severity.ERROR, at(moment)) is held
    assert not policy.is_held(Severity.CRITICAL, at(moment))


@pytest.mark.parametrize(
    ("window", "moment", "held"),
    [
        ("Sun 02:00-04:00", "2026-10-18T02:00", True),
        ("Sun 02:00-04:00", "2026-10-18T04:00", False),
        ("Sun 02:00-04:00", "2026-10-19T02:00", False),
        ("Sat+Sun 23:00-01:00", "2026-10-17T23:30", True),
        ("Sat+Sun 23:00-01:00", "2026-10-19T00:30", True),  # what began on Sunday
        ("Sat+Sun 23:00-01:00", "2026-10-17T00:30", False),  # Friday has none
        ("2026-12-01T20:00/PT2H", "2026-12-01T21:59", True),
        ("2026-12-01T20:00/PT1H30M", "2026-12-01T21:30", False),
        ("2026-12-01T20:00+01:00/2026-12-01T21:00+01:00", "2026-12-01T19:30", True),
        ("Mon 01:00-02:00, 2026-12-01T20:00/PT2H", "2026-12-01T20:00", True),
    ],
)
def test_maintenance_holds_everything(settings: Settings, window: str, moment: str, held: bool) -> None:
    policy = read_policy(choose(settings, alerts_maintenance=window))
    assert policy.is_held(Severity.CRITICAL, at(moment)) is held


@pytest.mark.parametrize(("moment", "held"), [("00:29", False), ("00:30", True), ("02:29", True), ("02:30", False)])
def test_two_hours_of_maintenance_are_two_where_the_clocks_go_back(settings: Settings, moment: str, held: bool) -> None:
    window = "2026-10-25T02:30/PT2H"  # at 03:00 the clocks of Berlin show 02:00 again
    policy = read_policy(choose(settings, alerts_maintenance=window, alerts_timezone="Europe/Berlin"))
    assert policy.is_held(Severity.CRITICAL, at(f"2026-10-25T{moment}")) is held


@pytest.mark.parametrize(
    "changed",
    [
        {"alerts_quiet": "22-07"},
        {"alerts_quiet": "25:00-07:00"},
        {"alerts_quiet": "07:00-07:00"},
        {"alerts_maintenance": "Someday 02:00-04:00"},
        {"alerts_maintenance": "2026-12-01T20:00/PT"},
        {"alerts_maintenance": "2026-12-01T20:00/2026-12-01T19:00"},
        {"alerts_timezone": "Berlin"},
        {"slack_mentions": "critical"},
        {"slack_mentions": "urgent=here"},
        {"slack_mentions": "critical=@ada"},
        {"slack_mentions": "critical=here> <!channel"},
    ],
)
def test_what_cannot_be_read_is_named_with_its_setting(settings: Settings, changed: dict[str, str]) -> None:
    with pytest.raises(InputError, match=f"CLOSECAST_{next(iter(changed)).upper()}"):
        read_policy(choose(settings, **changed))


def test_kinds_are_switched_on_and_off(settings: Settings) -> None:
    assert is_switched_on(settings, "run_failed")
    assert not is_switched_on(settings, "forecasts_published")
    told = choose(settings, alerts_on="forecasts_published", alerts_off="run_failed, drift")
    assert is_switched_on(told, "forecasts_published")
    assert not is_switched_on(told, "run_failed")
    misspelt = choose(settings, alerts_off="run_faild")
    with pytest.raises(InputError, match="CLOSECAST_ALERTS_OFF"):
        check_kinds(misspelt)
    assert is_switched_on(misspelt, "run_failed")  # who reports an incident must not lose it by that


def test_a_choice_by_severity_never_prints_what_is_secret() -> None:
    assert read_by_severity("critical=A, info = B", "X") == {Severity.CRITICAL: "A", Severity.INFO: "B"}
    with pytest.raises(InputError) as caught:
        read_by_severity("https://hooks.slack.com/services/secret", "X", show=lambda _part: "(hidden)")
    assert "secret" not in str(caught.value)
