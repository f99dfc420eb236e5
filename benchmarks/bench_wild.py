"""`make bench-wild`: the optimizer on models, APIs and mistakes of users, each once from the start to a live server.

A situation ends in a release, in "own" (your own model stays, with measured figures) or in "refused". A release is
promoted on a running service, which gets 2,000 fresh samples before and after. Finished situations are kept: a killed
benchmark resumes. `--only NAME,NAME` runs some, `--again` runs all again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from result import Figure, write_result

from bento_monitor.lab.loadgen import LoadSpec, run_load
from bento_monitor.lab.loadgen.packing import write_bodies
from bento_monitor.lab.model_host.answer_values import collect_values
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.worker_state import live_workers
from bento_monitor.resilience.atomic_files import write_atomic
from optimizers.data.read import read_data

HERE = Path(__file__).resolve().parent
PROJECT = HERE / "wild"
sys.path.insert(0, str(PROJECT))
WORK = Path(".bento-monitor/wild").resolve()
COMMAND = str(Path(sys.executable).with_name("bento-monitor"))
FRESH = 2000
QUICK = ["--connections", "16", "--trials", "4", "--blocks", "8", "--block-seconds", "1"]
TIMEOUT_S = 1500
OWN_STAYS = 1


def main() -> int:
    """Run the remaining situations; return 0 if none ended wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="Names of situations, separated by commas.")
    parser.add_argument("--again", action="store_true", help="Forget the finished situations.")
    options = parser.parse_args()
    from files_and_trees import SITUATIONS as FILES
    from other_apis import SITUATIONS as APIS
    from sequences import SITUATIONS as SEQUENCES
    from tabular import SITUATIONS as TABULAR

    situations = [*TABULAR, *SEQUENCES, *APIS, *FILES]
    wanted = set(filter(None, options.only.split(",")))
    for situation in situations:
        if wanted and situation.name not in wanted:
            continue
        folder = WORK / situation.name
        if options.again:
            shutil.rmtree(folder, ignore_errors=True)
        if (folder / "end.json").is_file():
            continue
        sys.stdout.write(f"{situation.name}: ")
        sys.stdout.flush()
        end = run(situation, folder)
        write_atomic(folder / "end.json", json.dumps(end, indent=2) + "\n")
        sys.stdout.write(f"{end['end']} in {end['seconds']:.0f} s{told(end)}\n")
    return report(situations)


def run(situation: Any, folder: Path) -> dict[str, Any]:
    """Run one situation from its data to fresh samples on a live server."""
    folder.mkdir(parents=True, exist_ok=True)
    env = {
        **os.environ,
        "WILD_FOLDER": str(folder),
        "BENTO_MONITOR_HOME": str(folder / "monitor"),
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTO_MONITOR_RELEASE_PROBATION_S": "1",
    }
    os.environ["WILD_FOLDER"] = str(folder)
    if situation.before is not None:
        situation.before(folder)
    data = situation.write(folder / "evaluation", situation.samples, 1)
    fresh = situation.write(folder / "fresh", FRESH, 2)
    command = [COMMAND, "optimize", situation.target, "--data", str(data), "--metric", situation.metric]
    command += ["--max-drop", situation.max_drop, *QUICK, *situation.options]
    command += ["--study-dir", str(folder / "study"), "--json"]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return {"end": "timeout", "seconds": time.monotonic() - started, "is_wrong": True}
    (folder / "stderr.txt").write_text(done.stderr)
    end: dict[str, Any] = {
        "seconds": time.monotonic() - started,
        "exit_code": done.returncode,
        "has_traceback": "Traceback" in done.stderr,
        "said": (done.stderr.strip().splitlines() or [""])[-1],
        "may_be_refused": situation.may_be_refused,
    }
    if done.returncode != 0:
        return end | {"end": "own" if done.returncode == OWN_STAYS else "refused", "is_wrong": end["has_traceback"]}
    found = json.loads(done.stdout)
    end |= {key: found[key] for key in ("speedup", "speedup_ci95", "candidate")}
    return end | {"end": "released"} | live(situation, folder, env, found, fresh)


def live(situation: Any, folder: Path, env: dict[str, str], found: dict[str, Any], fresh: Path) -> dict[str, Any]:
    """Measure the own model's and the release's accuracy on fresh samples on a live server, and the fallback share."""
    with ModelHost(situation.target, PROJECT, env) as host:
        api = next(api for api in host.describe().apis if api.name == found["api"])
    file = read_data(fresh)
    data = file.requests_for(api)[found.get("request_form", 0)]
    write_bodies(folder / "fresh.npz", data.bodies)
    spec = ServerSpec(
        target=situation.target,
        working_dir=PROJECT,
        env=env,
        home=folder / "server",
        service_name=found["service"],
        log=folder / "server.log",
    )
    with start_server(spec) as server:
        before = ask(server, api.route, folder / "fresh.npz", data.content_type)
        promoted = subprocess.run(
            [COMMAND, "release", "promote", found["release"]], env=env, capture_output=True, text=True, check=False
        )
        after = ask(server, api.route, folder / "fresh.npz", data.content_type)
        fallbacks = fallbacks_of(folder, found)
    own, release = score(situation, before, file.labels), score(situation, after, file.labels)
    # As --max-drop counts: absolute, or a share of the own model's; a growing error is a drop.
    drop = release - own if situation.metric == "mae" else own - release
    allowed = float(situation.max_drop.rstrip("%")) * (abs(own) / 100 if situation.max_drop.endswith("%") else 1)
    return {
        "live_own": own,
        "live_release": release,
        "fallback_share": fallbacks / FRESH,
        "promote": promoted.returncode,
        "is_wrong": bool(drop > allowed or promoted.returncode != 0 or None in (before, after)),
    }


def ask(server: ServerProcess, route: str, bodies: Path, content_type: str) -> list[Any]:
    """Return the server's response to each fresh sample, in order."""
    load = LoadSpec(
        port=server.port,
        path=route,
        bodies=bodies,
        mode="closed",
        connections=16,
        request_count=FRESH,
        keep_every=1,
        headers=(("Content-Type", content_type),),
    )
    result = run_load(load)
    failed = int((~result.is_ok).sum())
    if failed:
        raise SystemExit(f"{failed} of {FRESH} requests failed: see the server's log.")
    answers: list[Any] = [None] * FRESH
    for request, body in result.responses.items():
        try:
            answers[int(result.body_index[request])] = json.loads(body)
        except ValueError:
            answers[int(result.body_index[request])] = body.decode()
    return answers


def fallbacks_of(folder: Path, found: dict[str, Any]) -> int:
    """Return how many of the release's calls fell back to the own model."""
    store = ActiveStore(folder / "monitor", found["service"])
    return sum(sum(worker.fallbacks.get(found["release"], {}).values()) for worker in live_workers(store.folder))


def score(situation: Any, answers: list[Any], labels: Any) -> float:
    """Compute the metric without the optimizer's code."""
    values = collect_values(answers)
    if isinstance(values, list):
        values = np.array([value["label"] for value in values])
    if situation.metric == "mae":
        return float(np.abs(values - labels).mean())
    if situation.metric == "f1_macro":
        is_set = values >= 0.5
        hits = (is_set & (labels == 1)).sum(0)
        return float(np.mean(2 * hits / np.maximum(1, is_set.sum(0) + (labels == 1).sum(0))))
    if values.dtype.kind == "U":
        return float((values == labels).mean())
    if values.ndim == 2:
        classes = values.argmax(1)
        return float(((np.unique(labels)[classes] if labels.dtype.kind == "U" else classes) == labels).mean())
    classes = (values >= 0.5).astype(int) if values.dtype.kind == "f" else values
    return float((classes == labels).mean())


def told(end: dict[str, Any]) -> str:
    """Return the end in short, for a person."""
    if end["end"] != "released":
        return f": {end.get('said', '')}"
    return (
        f": {end['speedup']:.2f} times, live {end['live_own']:.4f} -> {end['live_release']:.4f}, "
        f"{end['fallback_share']:.1%} fallbacks{', WRONG' if end['is_wrong'] else ''}"
    )


def report(situations: list[Any]) -> int:
    """Write the finished situations as the result; return 0 if nothing is wrong."""
    ends = {}
    for situation in situations:
        path = WORK / situation.name / "end.json"
        if path.is_file():
            ends[situation.name] = json.loads(path.read_text(encoding="utf-8"))
    count = {
        kind: sum(end["end"] == kind for end in ends.values()) for kind in ("released", "own", "refused", "timeout")
    }
    wrong = [name for name, end in ends.items() if end["is_wrong"]]
    refused = [name for name, end in ends.items() if end["end"] == "refused" and not end.get("may_be_refused")]
    figures = {
        "situations": Figure(len(ends), unit="situations"),
        "released": Figure(count["released"], unit="situations"),
        "wrong": Figure(len(wrong), unit="situations"),
    }
    write_result("wild", figures, {"ends": ends, "wrong": wrong, "refused_without_need": refused})
    sys.stdout.write(f"{len(ends)} of {len(situations)} situations: {count}; wrong: {wrong}; refused: {refused}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
