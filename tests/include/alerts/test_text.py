"""Text that comes from anywhere, and what must not be left in it."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.alerts.text import HIDDEN, MOST_CAUSE_CHARACTERS, escape_text, flatten, hide_secrets, shorten_cause


@pytest.mark.parametrize(
    ("said", "secret"),
    [
        ("POST https://hooks.slack.com/services/T00/B00/abcDEF123 failed", "abcDEF123"),
        ("http://127.0.0.1:9/services/T0/B0/do-not-print-me: refused", "do-not-print-me"),
        ("Authorization: Bearer eyJhbGciOiJI.eyJzdWIi.sig", "eyJzdWIi"),
        ("token xoxb-1234-5678-secretsecret is revoked", "secretsecret"),
        ("could not connect to postgresql+psycopg2://airflow:hunter22@db:5432/airflow", "hunter22"),
        ("redis://:hunter22@cache/0", "hunter22"),
        ('{"password": "hunter22", "user": "ada"}', "hunter22"),
        ("AWS_SECRET=hunter22", "hunter22"),
        ("api_key='hunter22'", "hunter22"),
        ("key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("postgresql://airflow:hun/ter22@db/airflow", "ter22"),
        ("postgresql://airflow:hun@ter22@db/airflow", "ter22"),
        ("AWS_SECRET_ACCESS_KEY=hunter22/ab+c", "hunter22"),
        ("private_key: hunter22", "hunter22"),
        ("pwd=hunter22", "hunter22"),
        ("password=hun,ter22", "ter22"),
        ("Authorization: Basic aHVudGVyMjI=", "aHVudGVyMjI"),
        ("https://hooks.slack.com/services%2FT000%2FB000%2Fhunter22", "hunter22"),
        ("GET /data?X-Amz-Signature=deadbeef22&x=1", "deadbeef22"),
    ],
)
def test_a_secret_is_taken_out_and_the_rest_stays(said: str, secret: str) -> None:
    hidden = hide_secrets(said)
    assert secret not in hidden
    assert HIDDEN in hidden
    assert hidden[:4] == said[:4]
    assert hide_secrets(hidden) == hidden


@pytest.mark.parametrize(
    "said",
    [
        "market_close.score failed for session 2018-06-01",
        "postgresql://db/airflow is down",
        "see https://example.com/services/ or /services/a",
        "the tokens of a symbol: 3",
        "http://127.0.0.1:8080/dags/market_close/runs/scheduled__2018-06-01T00:01:00+00:00",
    ],
)
def test_what_is_no_secret_stays(said: str) -> None:
    assert hide_secrets(said) == said


@pytest.mark.parametrize("part", ["x", "://a:", "/services/", "password ", "bearer ", "token=", "://a:b@"])
def test_a_text_made_to_be_slow_is_not(part: str) -> None:
    began = time.process_time()
    hide_secrets(part * (20_000 // len(part)))
    assert time.process_time() - began < 0.5


def test_escape_as_slack_documents_it() -> None:
    assert escape_text("a < b & c > d &amp;") == "a &lt; b &amp; c &gt; d &amp;amp;"


@given(st.text(max_size=400), st.integers(min_value=1, max_value=80))
def test_a_flat_text_is_one_line_that_can_be_seen_and_not_too_long(text: str, most: int) -> None:
    flat = flatten(text, most)
    assert len(flat) <= most
    assert not {unicodedata.category(char) for char in flat} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("cause", "short"),
    [
        ("Traceback (most recent call last):\n  File 'x.py', line 3\nValueError: no price\n\n", "ValueError: no price"),
        ("  one line  ", "one line"),
        (" \n ", "no message"),
        ("x" * 501, "x" * (MOST_CAUSE_CHARACTERS - 1) + "…"),
        ("x" * 500, "x" * 500),
        ("bell\x07 and \x1b[31mred", "bell\\x07 and \\x1b[31mred"),
        ("left\u202eright", "left\\u202eright"),
    ],
)
def test_a_cause_is_the_exceptions_own_line_and_short(cause: str, short: str) -> None:
    assert shorten_cause(cause) == short
