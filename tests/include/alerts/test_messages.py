"""What a message says, and what no text from elsewhere can make it do."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.alerts.incidents import Affected, Incident, Links, Notice, Severity
from include.alerts.kinds import KINDS
from include.alerts.messages import (
    DIGEST_LINES,
    MOST_TEXT_CHARACTERS,
    Message,
    build_digest,
    build_message,
    write_duration,
)
from include.alerts.outbox import What
from tests.include.alerts.scenes import NOON, header_of, make_incident, make_row, texts_of

LOG = "http://airflow.example/dags/market_close/runs/r1/tasks/score?try_number=3"
WHOLE = Incident(
    "run_failed/market_close",
    "run_failed",
    "market_close failed, session 2018-06-01",
    "score: no such model",
    severity=Severity.CRITICAL,
    affected=Affected(date(2018, 6, 1), 10_000, published=False, mend_by=datetime(2018, 6, 2, 4, tzinfo=UTC)),
    parts=("score, session 2018-06-01", "check_future, session 2018-06-01"),
    links=Links(run="http://airflow.example/r1", log=LOG),
)
NASTY = ["<!channel>", "<!here> & co", "<https://evil.example|log>", "<@U024BE7LH>", "@here #general", "```*_~`"]


def body_of(message: Message) -> dict[str, Any]:
    return {"text": message.text, "blocks": message.blocks}


def test_a_message_says_what_is_wrong_why_what_of_what_to_do_and_where_to_look() -> None:
    row = make_row(WHOLE)
    message = build_message(row, mention="here", docs_url="https://docs.example/closecast/")
    line = "🔴 market_close failed, session 2018-06-01: score: no such model"
    assert message.text == f"<!here> {line} [{row.episode.id}]"
    said = [text["text"] for text in texts_of(body_of(message))]
    assert said == [
        "🔴 market_close failed, session 2018-06-01",
        "<!here>",
        "score: no such model",
        "*Session*\n2018-06-01",
        "*Symbols*\n10,000",
        "*Forecasts*\nnot published",
        "*Mend by*\n<!date^1527912000^{date_short_pretty} {time}|2018-06-02 04:00 UTC>",
        "Failed tasks (2):\n• score, session 2018-06-01\n• check_future, session 2018-06-01",
        f"<http://airflow.example/r1|Run> · <{LOG}|Log>"
        " · <https://docs.example/closecast/runbooks/run_failed.md|What to do>",
        f"A run failed · critical · 2026-10-16 12:00 UTC · {row.episode.id}",
    ]


def test_a_recovery_says_how_long_it_took_and_calls_nobody() -> None:
    row = make_row(WHOLE, What.RECOVERED)
    over = dataclasses.replace(row.episode, status="recovered", recovered_at=NOON + 754, count=3, note="Session 2.")
    message = build_message(dataclasses.replace(row, episode=over), mention="here")
    assert message.text == f"✅ Recovered: market_close failed, session 2018-06-01, after 12 min 34 s [{over.id}]"
    said = [text["text"] for text in texts_of(body_of(message))]
    assert "It took 12 min 34 s. It was reported 3 times. Session 2." in said
    assert not [each for each in said if "Mend by" in each or "What to do" in each]


def test_a_failure_that_nobody_explained_says_so() -> None:
    message = build_message(make_row(make_incident(cause="")))
    assert KINDS["run_failed"].unsaid in [text["text"] for text in texts_of(body_of(message))]


def test_without_a_site_of_documents_the_runbooks_place_is_named() -> None:
    said = [text["text"] for text in texts_of(body_of(build_message(make_row(make_incident()))))]
    assert "What to do: docs/runbooks/run_failed.md" in said


def test_a_notice_has_nothing_to_mend() -> None:
    message = build_message(make_row(Notice("model_promoted/7", "model_promoted", "Version 7 serves"), What.NOTICE))
    assert message.text.startswith("🔵 Version 7 serves [")
    assert "runbooks" not in json.dumps(message.blocks)


@pytest.mark.parametrize("text", NASTY)
def test_text_from_data_can_neither_ping_nor_link(text: str) -> None:
    incident = make_incident(summary=text, cause=text, parts=(text,))
    for message in (build_message(make_row(incident)), build_digest([make_row(incident)] * 4)):
        assert not set("<>") & set(message.text)
        marked = [each for each in texts_of(body_of(message)) if each["type"] == "mrkdwn"]
        assert not [each for each in marked if text in each["text"]]


def test_a_link_cannot_break_out_of_its_place() -> None:
    incident = make_incident(links=Links(run="http://a/b|c> <!channel>"))
    marked = [each["text"] for each in texts_of(body_of(build_message(make_row(incident)))) if each["type"] == "mrkdwn"]
    assert any("<http://a/b%7Cc%3E%20%3C!channel%3E|Run>" in each for each in marked)


anything = st.text(max_size=4000)


@given(anything, anything, st.lists(anything, max_size=30), st.sampled_from(list(What)))
def test_any_text_keeps_to_slacks_limits(summary: str, cause: str, parts: list[str], what: What) -> None:
    row = make_row(make_incident(summary=summary, cause=cause, parts=tuple(parts)), what)
    for message in (build_message(row, mention="U024BE7LH"), build_digest([row] * DIGEST_LINES)):
        json.dumps(message.blocks).encode()
        assert 0 < len(message.text) < MOST_TEXT_CHARACTERS
        assert len(message.blocks) <= 50
        assert 1 <= len(header_of(body_of(message))) <= 150
        for text in texts_of(body_of(message)):
            assert 1 <= len(text["text"]) <= 3000
            assert text["type"] == "plain_text" or re.fullmatch(r"<@U024BE7LH>|What to do: .*", text["text"])


def test_many_parts_are_counted_and_not_all_listed() -> None:
    incident = make_incident(parts=tuple(f"score_shard[{number}]" for number in range(200)))
    said = [text["text"] for text in texts_of(body_of(build_message(make_row(incident))))]
    listed = next(each for each in said if each.startswith("Failed tasks (200):"))
    assert listed.endswith("• score_shard[5]\n… and 194 more")


def test_a_digest_lists_each_with_its_id_and_mentions_once() -> None:
    rows = [make_row(make_incident(f"run_failed/dag{number}"), at=NOON + 60 * number) for number in range(5)]
    message = build_digest(rows, mention="channel")
    assert header_of(body_of(message)) == "5 messages from 2026-10-16 12:00 UTC to 2026-10-16 12:04 UTC"
    listed = texts_of(body_of(message))[-1]["text"].splitlines()
    assert [line[:5] for line in listed] == ["12:00", "12:01", "12:02", "12:03", "12:04"]
    assert [line.split("[")[-1] for line in listed] == [f"{row.episode.id}]" for row in rows]
    assert message.text.startswith("<!channel> 5 messages")


@pytest.mark.parametrize(
    ("mention", "call"),
    [("here", "<!here>"), ("U024BE7LH", "<@U024BE7LH>"), ("S0614TZR7", "<!subteam^S0614TZR7>"), ("", "🔴")],
)
def test_who_is_called(mention: str, call: str) -> None:
    assert build_message(make_row(WHOLE), mention=mention).text.startswith(call)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (90_000, "1 d 1 h"), (-1, "0 s")],
)
def test_a_duration_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert write_duration(seconds) == said
