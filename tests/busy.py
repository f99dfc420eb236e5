"""`python tests/busy.py COMMAND...`: run a command next to a busy loop on each core; exit with its exit code."""

from __future__ import annotations

import os
import subprocess
import sys


def main() -> int:
    """Run the command, then stop the loops."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        return subprocess.run(sys.argv[1:], check=False).returncode
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    sys.exit(main())
