"""Text from data, exceptions and addresses made fit for a message: no control, no mark-up, no secret, not long."""

from __future__ import annotations

import re

MOST_CAUSE_CHARACTERS = 500
HIDDEN = "(hidden)"

_SECRETS = (
    re.compile(
        r"(/(?:services|triggers|workflows)(?:/|%2F))[\w/%-]{8,}", re.IGNORECASE
    ),  # what makes a webhook's address a secret
    re.compile(r"()\b(?:xox[a-z]|xapp)-[\w-]{6,}"),  # Slack's tokens
    re.compile(r"(://)[^/\s:@]{0,256}:\S{1,256}(?=@)"),  # user:password@ in an address; passwords hold / and @
    re.compile(r"(\b(?:bearer|basic)\s+)[\w.~+/-]{6,}=*", re.IGNORECASE),
    re.compile(r"()\bAKIA[0-9A-Z]{16}\b"),  # the name of an AWS key
    re.compile(
        r"""((?:password|passwd|pwd|secret|token|x-amz-signature|(?:api|access|private)_?key)[\w-]{0,32}["']?\s{0,9}[=:]\s{0,9}["']?)"""
        r"""(?!\(hidden\))(?:(?<==)[^\s"'&]{2,}|[^\s"',;&()]{3,})""",
        re.IGNORECASE,
    ),
)


def hide_secrets(text: str) -> str:
    """Take out what looks like a password, a token or a webhook.

    Examples
    --------
    >>> hide_secrets("postgresql://airflow:pa55@db/airflow refused")
    'postgresql://(hidden)@db/airflow refused'
    """
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


def escape_text(text: str) -> str:
    """Escape the three characters that Slack gives a meaning, as its documentation of text formatting asks."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unlink_text(text: str) -> str:
    """Break what Slack makes links of in a line without blocks: addresses of pages and of e-mail."""
    return re.sub(r"(?<=\w:)(?=//)|(?<=[\w.+-]@)(?=\w)|(?<=\bmailto:)", "\N{WORD JOINER}", text)


def flatten(text: str, most: int) -> str:
    """Make one line of a text, without control characters, secrets or more than `most` characters."""
    from include.console import show_controls  # what draws tables takes its time to import

    line = " ".join(show_controls(hide_secrets(" ".join(text[: 20 * most].split()))).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def shorten_cause(cause: str) -> str:
    """Keep the last line: an exception's own comes last in a trace."""
    lines = [line for line in cause.strip().splitlines() if line.strip()]
    return flatten(lines[-1] if lines else "no message", MOST_CAUSE_CHARACTERS)
