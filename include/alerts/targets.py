"""Where a message goes: a webhook or a bot's channel for each severity, by the settings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from include.alerts.incidents import Severity
from include.alerts.policy import read_by_severity
from include.alerts.text import HIDDEN
from include.settings import Settings


@dataclass(frozen=True)
class Target:
    """One place that takes messages.

    Attributes
    ----------
    name
        For people, and for the record of its faults; no secret.
    webhook, token
        The secret: one of both.
    channel
        With a token.
    """

    name: str
    webhook: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    channel: str | None = None
    api_url: str = ""

    @property
    def can_edit(self) -> bool:
        """Whether a message can be changed after it was sent."""
        return self.token is not None

    @property
    def fingerprint(self) -> str:
        """Tells one configuration from another without giving the secret away."""
        said = "\n".join(str(each) for each in (self.webhook, self.token, self.channel, self.api_url))
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def find_target(settings: Settings, severity: Severity) -> Target | None:
    """Return where messages of a severity go; None where Slack is not set.

    Raises
    ------
    InputError
        A setting cannot be read.
    """
    if settings.slack_bot_token:
        channels = read_by_severity(settings.slack_channels, "CLOSECAST_SLACK_CHANNELS")
        channel = channels.get(severity, settings.slack_channel)
        token, api_url = settings.slack_bot_token.get_secret_value(), settings.slack_api_url
        return Target(f"bot:{channel}", token=token, channel=channel or "", api_url=api_url)
    others = settings.slack_webhooks.get_secret_value() if settings.slack_webhooks else None
    own = read_by_severity(others, "CLOSECAST_SLACK_WEBHOOKS", show=lambda _part: HIDDEN).get(severity)
    if own:
        return Target(f"webhook:{severity}", webhook=own)
    if settings.slack_webhook_url is None:
        return None
    return Target("webhook", webhook=settings.slack_webhook_url.get_secret_value())


def list_targets(settings: Settings) -> list[Target]:
    """Return every place that messages go to, each once."""
    found = [find_target(settings, severity) for severity in Severity]
    return list({target.name: target for target in found if target is not None}.values())
