"""Shows a person how far a long command is; on stderr, for stdout is for results."""

from types import TracebackType
from typing import Self

from rich import progress
from rich.console import Console


class Progress:
    """Lines of what happens and, where a person watches, bars that move.

    bars: whether to draw them at all; on what is no terminal they never are.
    """

    def __init__(self, *, bars: bool) -> None:
        console = Console(stderr=True, highlight=False)
        self._bars = progress.Progress(
            progress.TextColumn("{task.description:20}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            console=console,
            disable=not (bars and console.is_terminal),
        )
        self._tasks: dict[str, progress.TaskID] = {}

    def say(self, line: str) -> None:
        """Tell of one thing that happened."""
        self._bars.console.print(f"runworker: {line}", markup=False, soft_wrap=True)

    def show(self, what: str, done: int, total: int) -> None:
        """Move the bar called `what`, which appears at its first move."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
