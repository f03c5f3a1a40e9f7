"""Sends a message to Slack's incoming webhook, or writes it to the log where none is set.

A failed task waits for this, so each try has a timeout and the tries are few. Nothing raised here may hide the failure
that is being told: what could not be sent is written to the log, without the webhook's address, which is a secret.
"""

from __future__ import annotations

import logging
from typing import Any

from slack_sdk.http_retry.builtin_handlers import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    ServerErrorRetryHandler,
)
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.webhook import WebhookClient

from include.alerts.messages import Message

TIMEOUT_S = 5
MOST_RETRIES = 2

LONGEST_WAIT_S = 5
"""A longer Retry-After is not waited for: Airflow ends a callback after 20 s, and then the log has no message."""

log = logging.getLogger(__name__)

# slack_sdk logs the webhook's whole address at each retry; a logger without a level counts as DEBUG for it.
_unheard = logging.getLogger(f"{__name__}.client")
_unheard.setLevel(logging.CRITICAL)


class _BoundedRateLimitHandler(RateLimitErrorRetryHandler):
    """Waits for as long as Slack asks, unless that is longer than a failed task can be held."""

    def _can_retry(self, *, response: HttpResponse | None = None, **asked: Any) -> bool:
        if response is None or not super()._can_retry(response=response, **asked):
            return False
        headers = {name.lower(): value for name, value in response.headers.items()}
        asked_for = headers.get("retry-after", "1")
        wait_s = asked_for if isinstance(asked_for, str) else asked_for[0]
        return wait_s.isdecimal() and int(wait_s) <= LONGEST_WAIT_S


def send_message(message: Message, webhook_url: str | None) -> bool:
    """Send a message; say whether Slack took it.

    Parameters
    ----------
    message
        From `include.alerts.messages`.
    webhook_url
        None writes the message to the log instead.
    """
    if not webhook_url:
        log.warning("No Slack webhook is set. The message: %s", message.text)
        return False
    retries = [
        handler(max_retry_count=MOST_RETRIES)
        for handler in (ConnectionErrorRetryHandler, _BoundedRateLimitHandler, ServerErrorRetryHandler)
    ]
    client = WebhookClient(webhook_url, timeout=TIMEOUT_S, retry_handlers=list(retries), logger=_unheard)
    try:
        answer = client.send(text=message.text, blocks=message.blocks)
    except Exception as error:  # noqa: BLE001  # whatever the network does, the task's own failure must still be told
        log.error("Slack could not be reached (%s). The message: %s", type(error).__name__, message.text)  # noqa: TRY400
        return False
    if answer.status_code != 200:
        log.error("Slack refused the message (%s %s): %s", answer.status_code, answer.body[:80], message.text)
    return answer.status_code == 200
