"""Incidents for tests, and a clock that goes when it is told to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from include.alerts.episodes import draft_episode
from include.alerts.incidents import Incident, Notice
from include.alerts.outbox import Row, What
from include.settings import Settings
from tests.fakes import CHANNEL, TOKEN, FakeSlack

NOON = 1_792_152_000.0
"""2026-10-16 12:00 UTC, a Friday."""


@dataclass
class Clock:
    """Gives the time that it was set to."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


def make_incident(key: str = "run_failed/market_close", **changed: Any) -> Incident:
    said: dict[str, Any] = {
        "kind": key.partition("/")[0],
        "summary": f"{key.partition('/')[2]} failed",
        "cause": "ValueError: no price",
    }
    return Incident(key, **(said | changed))


def make_row(report: Incident | Notice, what: What = What.OPENED, *, at: float = NOON, seq: int = 1) -> Row:
    return Row(seq, what, at, at, 0, draft_episode(report, at))


def with_webhook(settings: Settings, slack: FakeSlack, **changed: Any) -> Settings:
    return settings.model_copy(update={"slack_webhook_url": SecretStr(slack.url), **changed})


def with_bot(settings: Settings, slack: FakeSlack, **changed: Any) -> Settings:
    bot = {"slack_bot_token": SecretStr(TOKEN), "slack_channel": CHANNEL, "slack_api_url": slack.api_url}
    return settings.model_copy(update=bot | changed)


def header_of(body: dict[str, Any]) -> str:
    """Return the title of a message as Slack received it; its line where it has no blocks."""
    blocks = body.get("blocks") or []
    return next((block["text"]["text"] for block in blocks if block["type"] == "header"), body.get("text", ""))


def texts_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every text object of a message's blocks, in order."""
    found: list[dict[str, Any]] = []

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("type") in ("mrkdwn", "plain_text"):
                found.append(value)
            for each in value.values():
                look(each)
        elif isinstance(value, list):
            for each in value:
                look(each)

    look(body.get("blocks", []))
    return found
