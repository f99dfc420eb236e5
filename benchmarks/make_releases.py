"""`make releases`: the release of each workload, by `bento-monitor optimize`, unless it is there already."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "examples" / "common"))
from workloads.releases import all_workloads, find_release


def main() -> int:
    """Search for each release that is missing; a search that was stopped goes on."""
    for workload in all_workloads():
        found = find_release(workload)
        print(f"{workload.key}: {found.release or 'NO RELEASE: ' + str(found.refusal)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
