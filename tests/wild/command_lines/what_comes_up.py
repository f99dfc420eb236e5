"""Prints, for each of many command lines, the server that it would start: its sockets and its processes.

`python -P what_comes_up.py stock|monitored` reads command lines as JSON from stdin, each with variables and a folder.
A fork of this process runs each up to the point at which BentoML would start the processes.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

_OURS = {
    "bento_monitor.serving.worker.service": "_bentoml_impl.worker.service",
    "bento_monitor.serving.worker.legacy_api": "bentoml_cli.worker.http_api_server",
    "bento_monitor.serving.worker.legacy_runner": "bentoml_cli.worker.runner",
}


def main(arm: str) -> None:
    import bentoml._internal.utils.circus as circus
    import bentoml_cli.cli  # noqa: F401 - before the forks

    import bento_monitor.serving.launch  # noqa: F401

    def record(watchers: Any, sockets: Any = (), **options: Any) -> None:
        started = [
            {
                "name": each.name,
                "processes": each.numprocesses,
                "args": [_OURS.get(word, word) for word in each.args],
                "working_dir": each.working_dir,
            }
            for each in watchers
        ]
        listening = [[each.name, each.host, each.port] for each in sockets if each.path is None]
        print(json.dumps({"started": started, "sockets": listening, "options": sorted(options)}), flush=True)
        os._exit(0)

    circus.create_standalone_arbiter = record
    for line in json.load(sys.stdin):
        print(json.dumps(run(arm, line)), flush=True)


def run(arm: str, line: dict[str, Any]) -> Any:
    """Run one command line; return what it would start, or its exit code."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writer, 1)
        os.close(reader)
        os.chdir(line["folder"])
        os.environ.update(line["environment"])
        code = 1
        try:
            code = serve(arm, line["arguments"])
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 1
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stdout.flush()
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    found = [each for each in text.splitlines() if each.startswith('{"started"')]
    return json.loads(found[-1]) if found else {"exit_code": os.waitstatus_to_exitcode(status)}


def serve(arm: str, arguments: list[str]) -> int:
    if arm == "stock":
        from bentoml_cli.cli import cli

        cli.main(["serve", *arguments], "bentoml")
        return 0
    from bento_monitor.serving import launch

    return launch.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1])
