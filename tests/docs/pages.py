"""The code blocks of a Markdown page, and a project in which they run in order, as a reader would run them."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

from bento_monitor.serving.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = {"bash", "json", "python", "text", "toml", "yaml"}
_MARK = re.compile(r"<!-- (?P<kind>not run|run with): ?(?P<text>.*?) ?-->", re.DOTALL)
_SERVER = re.compile(r"^(\w+=\S* )*(bento-monitor|bentoml) serve\b")
_READY_TIMEOUT_S = 90.0
_COMMAND_TIMEOUT_S = 600.0
# How the search says that this machine, with the few short blocks of a test, could not prove a winner.
_NOISY = re.compile("at a quieter time|Nothing was released")
_LONG = re.compile(r"bento-monitor (profile|optimize) (?!--compare)")


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

    def __init__(self, folder: Path, replaced: Mapping[str, str], env: Mapping[str, str]) -> None:
        """Start without any file.

        Args:
            folder: where the commands run.
            replaced: words of the pages, and what they are in this project (ports, names).
            env: environment variables of the commands.
        """
        self.folder = folder
        self._replaced = {**replaced, "3000": str(free_port())}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._env = {**os.environ, **env, "PATH": path, "PYTHONUNBUFFERED": "1"}
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
        """Replace more words of the pages."""
        self._replaced |= words

    @property
    def port(self) -> int:
        """The port of the server that the pages call 3000."""
        return int(self._replaced["3000"])

    def stop_server(self) -> None:
        """Stop the running server, as a reader does before starting another one."""
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGTERM)
            self._server.wait(30)
            self._server = None

    def _run_line(self, block: Block, line: str) -> None:
        command = self._filled(line)
        if _SERVER.match(command):
            self._serve(block, command)
            return
        if _LONG.match(command):
            command = f"{command} {block.extra}"
            if command in self._finished:  # another page has the same command, which takes a minute
                return
            self._finished.add(command)
        self._finish(block, ["bash", "-euo", "pipefail", "-c", command])

    def _serve(self, block: Block, command: str) -> None:
        self.stop_server()
        log = self.folder / "server.log"
        with log.open("wb") as output:
            self._server = subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self._env,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._replaced['3000']}/readyz", timeout=5):
                    return
            except OSError:
                ended = self._server.poll() is not None or time.monotonic() > deadline_s
                assert not ended, f"{block}: {command}\n{log.read_text(errors='replace')[-3000:]}"
                time.sleep(0.1)

    def _finish(self, block: Block, command: list[str]) -> None:
        done = self._call(command)
        if done.returncode == 1 and _NOISY.search(done.stderr):
            done = self._call(command)  # as the message says: good blocks are kept, and the same command continues
            if done.returncode == 1 and _NOISY.search(done.stderr):
                self.noise = done.stderr.splitlines()[-1]
                return
        assert done.returncode == 0, (
            f"{block}: {shlex.join(command)} exits with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )

    def _call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
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
            if self.noise is not None:
                raise NoReleaseError(self.noise)
            text = re.sub(r"\bRELEASE\b", self._first("release", "list", key="name"), text)
        return text

    def _first(self, *command: str, key: str) -> str:
        deadline_s = time.monotonic() + 10  # a trace is stored up to half a second after its response
        while True:
            done = self._call(["bento-monitor", *command, "--json"])
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
