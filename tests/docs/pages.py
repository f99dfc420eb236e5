"""The code blocks of a Markdown page, and a project in which they run in order, as a reader would run them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from jaeger_server import start_process, stop_process
from markdown_it import MarkdownIt
from waiting import wait_until

from bento_monitor.serving.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = {"bash", "json", "python", "text", "toml", "yaml"}
_MARK = re.compile(r"<!-- (?P<kind>not run|run with): ?(?P<text>.*?) ?-->", re.DOTALL)
_SERVER = re.compile(r"^(\w+=\S* )*(bento-monitor|bentoml) serve\b")
_READY_TIMEOUT_S = 90.0
_COMMAND_TIMEOUT_S = 600.0
# How the search says that this machine, with the few short blocks of a test, could not prove a winner.
_NOISY = re.compile("at a quieter time|cannot be distinguished|is not shown to be at most")
_LONG = re.compile(r"bento-monitor (profile|optimize) (?!--compare)")
_SEARCH = "bento-monitor optimize "


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced code block. `title` is the file that it shows; `extra` are options that shorten a command in tests."""

    page: str
    line: int
    language: str
    title: str | None
    text: str
    not_run: str | None
    extra: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    """The blocks of a page, in order, each with the comment above it that says how it runs."""
    found = []
    mark: re.Match[str] | None = None
    for token in MarkdownIt("commonmark").parse(path.read_text()):
        if token.type == "html_block":
            mark = _MARK.search(token.content)
        elif token.type == "fence":
            language, _, rest = token.info.partition(" ")
            title = re.search(r'title="(.+?)"', rest)
            kind, text = (mark["kind"], mark["text"]) if mark else ("", "")
            found.append(
                Block(
                    page=str(path.relative_to(ROOT)),
                    line=1 + (token.map or [0])[0],
                    language=language,
                    title=title[1] if title else None,
                    text=token.content,
                    not_run=text if kind == "not run" else None,
                    extra=text if kind == "run with" else "",
                )
            )
            mark = None
        else:
            mark = None
    return found


class NoReleaseError(Exception):
    """A page needs the release of the tutorial, and the machine was too noisy to prove one."""


class Project:
    """A folder with the reader's files, and the servers that their commands have started."""

    def __init__(self, folder: Path) -> None:
        """Start without any file; the commands run in `folder`, which also has both homes."""
        self.folder = folder
        self.home = folder / "monitor"
        self.port = free_port()
        self._replaced = {"3000": str(self.port), "MyService": "Digits"}
        self._env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "BENTOML_HOME": str(folder / "bentoml"),
            "BENTO_MONITOR_HOME": str(self.home),
            "BENTO_MONITOR_RELEASE_PROBATION_S": "1",
        }
        self._server: subprocess.Popen[bytes] | None = None
        self._finished: set[str] = set()
        self.noise: str | None = None
        """Why the search made no release, if that is because other processes use the machine."""

    def run(self, block: Block) -> None:
        """Run a block, or write its file.

        Raises:
            AssertionError: a command fails, with what it has written.
        """
        if block.language == "yaml":
            yaml.safe_load(block.text)
        if block.title is not None:
            (self.folder / block.title).write_text(self._filled(block.text))
        elif block.language == "python":
            self._finish(block, [sys.executable, "-c", self._filled(block.text)])
        elif block.language == "bash":
            for line in _lines(block.text):
                self._run_line(block, line)

    def replace(self, words: Mapping[str, str]) -> None:
        """Replace more words of the pages, such as ports."""
        self._replaced |= words

    def stop_server(self) -> None:
        """Stop the running server, as a reader does before starting another one."""
        if self._server is not None:
            stop_process(self._server)
            self._server = None

    def _run_line(self, block: Block, line: str) -> None:
        command = self._filled(line)
        if _SERVER.match(command):
            self._serve(block, command)
            return
        if _LONG.match(command):
            command = f"{command} {block.extra}"
            if command in self._finished:  # another page has the same command, which takes a minute
                if command.startswith(_SEARCH):
                    self._require_release()
                return
            self._finished.add(command)
        self._finish(block, ["bash", "-euo", "pipefail", "-c", command], is_search=command.startswith(_SEARCH))

    def _serve(self, block: Block, command: str) -> None:
        self.stop_server()
        log = self.folder / "server.log"
        self._server = server = start_process(["bash", "-c", command], log, self._env, self.folder)
        wait_until(lambda: server.poll() is not None or self._is_ready(), _READY_TIMEOUT_S, log=log)
        assert server.poll() is None, f"{block}: {command}\n{log.read_text(errors='replace')[-3000:]}"

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return True
        except OSError:
            return False

    def _finish(self, block: Block, command: list[str], *, is_search: bool = False) -> None:
        done = self.call(command)
        if is_search and done.returncode == 1 and _NOISY.search(done.stderr):
            done = self.call(command)  # as the message says: good blocks are kept, and the same command continues
            if done.returncode == 1 and _NOISY.search(done.stderr):
                self.noise = done.stderr.splitlines()[-1]
                self._require_release()
        assert done.returncode == 0, (
            f"{block}: {shlex.join(command)} exits with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )

    def _require_release(self) -> None:
        if self.noise is not None:
            raise NoReleaseError(self.noise)

    def call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command as a reader does, and wait for it."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )

    def _filled(self, text: str) -> str:
        for word, value in self._replaced.items():
            text = re.sub(rf"\b{word}\b", value, text)
        if "TRACE_ID" in text:
            source = re.search(r"--jaeger \S+", text)
            options = source[0].split() if source else []
            text = text.replace("TRACE_ID", self._first("traces", "--limit", "1", *options, key="trace_id"))
        if re.search(r"\bRELEASE\b", text):
            self._require_release()
            text = re.sub(r"\bRELEASE\b", self._first("release", "list", key="name"), text)
        return text

    def _first(self, *command: str, key: str) -> str:
        deadline_s = time.monotonic() + 10  # a trace is stored up to half a second after its response
        while True:
            done = self.call(["bento-monitor", *command, "--json"])
            found = json.loads(done.stdout or "[]")
            if found:
                return str(found[0][key])
            assert time.monotonic() < deadline_s, f"bento-monitor {shlex.join(command)} lists nothing: {done.stderr}"
            time.sleep(0.2)


def _lines(text: str) -> Iterator[str]:
    """The commands of a block, each without a trailing comment, continued lines joined."""
    for line in text.replace("\\\n", " ").splitlines():
        command = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        if command:
            yield command


def run_page(path: Path, project: Project) -> None:
    """Run the blocks of a page that are not marked otherwise."""
    try:
        for block in blocks_of(path):
            if block.not_run is None:
                project.run(block)
    finally:
        project.stop_server()
