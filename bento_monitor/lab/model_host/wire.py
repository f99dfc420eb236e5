"""The child's side of the connection: JSON lines over private copies of stdin and stdout.

The user's code may print, so descriptor 1 becomes a copy of stderr before any of it runs; its stdin is empty.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any


class Wire:
    """Requests in, progress and results out, one line each."""

    def __init__(self) -> None:
        """Reserve the process's stdin and stdout, and give the user's code harmless ones."""
        self._requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
        self._replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)
        os.close(empty)
        os.dup2(2, 1)

    def requests(self) -> Iterator[dict[str, Any]]:
        """Yield each request until the parent closes its end."""
        for line in self._requests:
            yield json.loads(line)

    def send(self, **message: Any) -> None:
        """Send one line."""
        self._replies.write(json.dumps(message) + "\n")
        self._replies.flush()
