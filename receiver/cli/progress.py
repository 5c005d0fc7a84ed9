"""How far long work is, shown to whoever watches a terminal."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")

_ITEMS_BETWEEN_TELLING = 500


@contextlib.contextmanager
def shown(doing: str, total: Callable[[], float], unit: str) -> Iterator[Callable[[float], None]]:
    """Show a bar on stderr while the block runs, where that is a terminal; else nothing.

    Yields what is told how much more is done. `total` is asked only where the bar is shown.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (doing, BarColumn(), MofNCompleteColumn(), unit, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total())
        yield lambda more: bar.advance(task, more)


def counted(items: Iterable[_Item], on_progress: Callable[[float], None]) -> Iterator[_Item]:
    """Pass items on, and tell how many they are."""
    number = 0
    for number, item in enumerate(items, start=1):
        yield item
        if number % _ITEMS_BETWEEN_TELLING == 0:
            on_progress(_ITEMS_BETWEEN_TELLING)
    on_progress(number % _ITEMS_BETWEEN_TELLING)
