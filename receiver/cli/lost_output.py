"""What a command prints does not arrive: the disk behind `>` is full, a reader has gone away."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

NO_ROOM: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""Errors that only writing makes."""


@contextlib.contextmanager
def told_if_lost() -> Iterator[None]:
    """Tell in one line that what the block printed could not be written, and exit with 1.

    A reader that goes away early (`| head`) has read what it wanted: nothing is told.
    """
    if sys.stdout is None:  # Started with it closed; the next file would be taken for it.
        print_to_nobody()
    problem: OSError | None = None
    try:
        yield
    except OSError as error:
        problem = error
        if error.errno not in {*NO_ROOM, errno.EIO} and _still_fails() is None:
            raise
    except SystemExit:
        problem = _still_fails()
        if problem is None:
            raise
    else:
        problem = _still_fails()
    if problem is None:
        return
    print_to_nobody()
    if problem.errno != errno.EPIPE:
        what = problem.filename or "what is printed"
        reason = problem.strerror or problem
        with contextlib.suppress(OSError):
            click.echo(
                f"Error: {what} cannot be written: {reason}; free space where it goes, or send it"
                " elsewhere",
                err=True,
            )
    raise SystemExit(1)


def print_to_nobody() -> None:
    """Let all that is printed from now on, and what still waits, go nowhere.

    Else Python would complain once more when it closes the stream at exit.
    """
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  Open to the end.


def _still_fails() -> OSError | None:
    """Write what still waits to be printed; a stream that failed has kept it, and fails again."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None
