"""What code and environment this is: the words that every prediction and every version is stamped with."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import distributions, version

from include.settings import PROJECT_ROOT

_DIRTY = "-dirty"


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the commit, with `-dirty` where the tree differs from it; the package's version outside a checkout."""
    command = ["git", "-C", str(PROJECT_ROOT), "describe", "--always", f"--dirty={_DIRTY}", "--abbrev=12", "--match=v*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return version("closecast")
    return found.stdout.strip()


def is_dirty() -> bool:
    """Whether the tree differs from the commit that `code_version` names."""
    return code_version().endswith(_DIRTY)


@lru_cache(maxsize=1)
def environment_hash() -> str:
    """Return a hash of the locked requirements."""
    return hashlib.sha256((PROJECT_ROOT / "requirements.txt").read_bytes()).hexdigest()[:16]


def describe_environment() -> dict[str, str]:
    """Return the versions of Python, of the platform and of every installed library, by name."""
    libraries = {each.metadata["Name"].lower(): each.version for each in distributions()}
    return {"python": platform.python_version(), "platform": platform.platform()} | dict(sorted(libraries.items()))
