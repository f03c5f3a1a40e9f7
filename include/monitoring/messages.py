"""What is said of an episode: which signal, since when, how far."""

from __future__ import annotations

from include.monitoring.breaches import JUDGED_SESSIONS, Breach


def describe_began(breach: Breach) -> str:
    """Say how an episode began, in a line."""
    cause = f" ({breach.cause})" if breach.cause else ""
    return (
        f"{breach.signal} in breach since {breach.since}, version {breach.model_version}:"
        f" {breach.value:.3f}, limit {breach.limit:.3f}, by the newest {JUDGED_SESSIONS} sessions{cause}"
    )


def describe_ended(breach: Breach) -> str:
    """Say how an episode ended, in a line."""
    return f"{breach.signal}, in breach since {breach.since}, is over: {breach.why_ended}"
