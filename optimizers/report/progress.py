"""Progress of a study: a bar on a terminal, a line a step elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class StudyProgress:
    """Shows which stage runs, how far it is, and what it found."""

    def __init__(self, console: Console, stages: int) -> None:
        self._console = console
        self._stages = stages
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    @contextmanager
    def running(self) -> Iterator[StudyProgress]:
        """Show progress while the study runs."""
        with self._progress:
            yield self

    def stage(self, number: int, description: str, total: int) -> None:
        """Begin a stage, of `total` steps; what is tried again has its number again."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        label = f"[{number}/{self._stages}] {description}"
        if self._console.is_terminal:
            self._task = self._progress.add_task(label.replace("[", "\\[", 1), total=total)
        else:
            self._console.print(label, markup=False)

    def step(self) -> None:
        """One step of the stage is done."""
        if self._task is not None:
            self._progress.advance(self._task)

    def note(self, text: str) -> None:
        """Say what was found."""
        self._console.print("  " + text, markup=False, highlight=False, soft_wrap=not self._console.is_terminal)
