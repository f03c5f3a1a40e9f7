"""What a failure message says, and what no text from data can make it do."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.alerts.messages import (
    MOST_CAUSE_CHARACTERS,
    Message,
    TaskFailure,
    build_failure_message,
    escape_text,
    shorten_cause,
)

LINK = "http://airflow.example/dags/market_close/runs/r1/tasks/score"


def build(**changed: object) -> Message:
    failure = {
        "dag_id": "market_close",
        "task_id": "score",
        "run_id": "scheduled__2018-06-01",
        "session": "2018-06-01",
        "try_number": 2,
        "max_tries": 2,
        "cause": "no such model",
        "log_url": LINK,
    }
    return build_failure_message(TaskFailure(**(failure | changed)))


def header_of(message: Message) -> str:
    return next(block["text"]["text"] for block in message.blocks if block["type"] == "header")


def test_message_names_dag_task_session_try_run_cause_and_log() -> None:
    message = build()
    assert message.text == "market_close.score failed for session 2018-06-01: no such model"
    assert header_of(message) == "market_close.score failed for session 2018-06-01"
    fields = [field["text"] for field in message.blocks[1]["fields"]]
    expected = ["DAG\nmarket_close", "Task\nscore", "Session\n2018-06-01", "Try\n2 of 2", "Run\nscheduled__2018-06-01"]
    assert [field.replace("*", "") for field in fields] == expected
    assert message.blocks[2]["text"]["text"] == "*Cause*\nno such model"
    assert message.blocks[3]["elements"][0]["url"] == LINK


def test_a_run_without_session_or_log_says_so_and_links_nothing() -> None:
    message = build(session=None, log_url=None)
    assert message.text == "market_close.score failed: no such model"
    assert {"type": "mrkdwn", "text": "*Session*\nnone"} in message.blocks[1]["fields"]
    assert [block["type"] for block in message.blocks] == ["header", "section", "section"]


@pytest.mark.parametrize("text", ["<!channel>", "<!here> & co", "<https://evil.example|log>", "<@U024BE7LH>"])
def test_text_from_data_can_neither_ping_nor_link(text: str) -> None:
    message = build(cause=text, run_id=text, session=text)
    marked = [message.text, message.blocks[2]["text"]["text"], *(each["text"] for each in message.blocks[1]["fields"])]
    assert not [each for each in marked if "<" in each or ">" in each]
    # The header is plain text, in which Slack gives no character a meaning.
    assert message.blocks[0]["text"]["type"] == "plain_text"


def test_escape_as_slack_documents_it() -> None:
    assert escape_text("a < b & c > d &amp;") == "a &lt; b &amp; c &gt; d &amp;amp;"


def test_a_header_keeps_to_slacks_150_characters() -> None:
    assert header_of(build(dag_id="d" * 300)) == "d" * 150


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=3000))
def test_any_cause_keeps_to_the_limits_of_a_block(cause: str) -> None:
    blocks = build(cause=cause).blocks
    assert 1 <= len(blocks[2]["text"]["text"]) <= 3000
    json.dumps(blocks)


@pytest.mark.parametrize(
    ("cause", "short"),
    [
        ("Traceback (most recent call last):\n  File 'x.py', line 3\nValueError: no price\n\n", "ValueError: no price"),
        ("  one line  ", "one line"),
        (" \n ", "no message"),
        ("x" * 501, "x" * MOST_CAUSE_CHARACTERS + "…"),
        ("x" * 500, "x" * 500),
    ],
)
def test_a_cause_is_the_exceptions_own_line_and_short(cause: str, short: str) -> None:
    assert shorten_cause(cause) == short
