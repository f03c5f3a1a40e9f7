"""Settings of telling that cannot be read are left out, and said in the log: a slip in one must not silence the house.

A start refuses them and `closecast doctor` names them; this is for what changed since, and for what nobody started so.
"""

from __future__ import annotations

import logging

from include.alerts.policy import check_kinds, read_policy
from include.alerts.targets import list_targets
from include.errors import InputError
from include.settings import Settings

READ = ("alerts_timezone", "alerts_quiet", "alerts_maintenance", "slack_mentions", "slack_channels", "slack_webhooks")

log = logging.getLogger(__name__)


def check_telling(settings: Settings) -> None:
    """Read every setting of telling, for a start that finds what is wrong with them.

    Raises
    ------
    InputError
        One of them cannot be read.
    """
    read_policy(settings)
    list_targets(settings)
    check_kinds(settings)


def leave_out_misspelt(settings: Settings) -> Settings:
    """Give the settings with each of READ that cannot be read as if it were not set."""
    if _find_fault(settings) is None:
        return settings
    unset = {name: Settings.model_fields[name].default for name in READ}
    wrong = {}
    for name in READ:
        alone = settings.model_copy(update=unset | {name: getattr(settings, name)})
        if (fault := _find_fault(alone)) is not None:
            log.error("told as if it were not set: %s", fault)
            wrong[name] = unset[name]
    return settings.model_copy(update=wrong)


def _find_fault(settings: Settings) -> InputError | None:
    try:
        read_policy(settings)
        list_targets(settings)
    except InputError as error:
        return error
    return None
