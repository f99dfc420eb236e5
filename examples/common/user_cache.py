"""The folder in the user's cache for what examples download, make and find."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(part: str) -> Path:
    """Return the folder of a part, such as `wheels`; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "bento-monitor" / part
