"""Progress of a study: a bar on a terminal, one line per stage elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class StudyProgress:
    """Shows the current stage, its progress and its findings."""

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
        """Begin a stage of `total` steps; a repeated stage keeps its number."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        label = f"[{number}/{self._stages}] {description}"
        if self._console.is_terminal:
            self._task = self._progress.add_task(label.replace("[", "\\[", 1), total=total)
        else:
            self._console.print(label, markup=False)

    def step(self) -> None:
        """Count one step of the stage as done."""
        if self._task is not None:
            self._progress.advance(self._task)

    def note(self, text: str) -> None:
        """Print a finding of the stage."""
        self._console.print("  " + text, markup=False, highlight=False, soft_wrap=not self._console.is_terminal)
