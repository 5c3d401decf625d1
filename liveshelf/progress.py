"""Progress bars of long jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class Rate(ProgressColumn):
    """Items a second, over the whole run."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or (task.completed / task.elapsed if task.elapsed else 0.0)
        return Text(f"{speed:,.0f}/s", style="progress.data.speed")


class SetProgress(Protocol):
    """Sets how many items are done, and how many there are if that was not known."""

    def __call__(self, done: int, total: int | None = None, /) -> None: ...


@contextmanager
def bar(label: str, total: int | None) -> Iterator[SetProgress]:
    """A progress bar on standard error, with rate and remaining time; yields the function that advances it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total)

        def set_progress(done: int, total: int | None = None, /) -> None:
            progress.update(task, completed=done, total=total)

        yield set_progress
