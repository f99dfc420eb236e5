"""`python tests/busy.py COMMAND...`: run a command beside a busy loop on each core; ends as the command does."""

from __future__ import annotations

import os
import subprocess
import sys


def main() -> int:
    """Run it; the loops end with it."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        return subprocess.run(sys.argv[1:], check=False).returncode
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    sys.exit(main())
