"""A dead man's switch: an address outside that is called while all is well, and raises the alarm when it is not."""

from __future__ import annotations

import time

import requests

TIMEOUT_S = 5.0


class Ping:
    """Calls an address every so many seconds.

    Parameters
    ----------
    url
        A secret: who knows it can keep the switch quiet.
    every_s
        Between two calls, also after one that failed: the other side has patience.
    """

    def __init__(self, url: str, every_s: float) -> None:
        self._url, self._every_s = url, every_s
        self._due = 0.0

    def call_if_due(self) -> str | None:
        """Call where it is time; say what went wrong, without the address."""
        if time.monotonic() < self._due:
            return None
        self._due = time.monotonic() + self._every_s
        try:
            answer = requests.get(self._url, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            return f"the ping was not taken ({type(error).__name__})"
        return None if answer.ok else f"the ping was answered by {answer.status_code}"
