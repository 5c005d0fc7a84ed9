"""What a power cut leaves of a store: the file as it was, and any beginning of its log."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from store_traffic import is_sound, numbers, stored, stored_and_sound
from synced_bytes import PowerCuts, recorded_writes

from receiver.store.database import Store
from receiver.store.errors import StoreDamagedError

COMMIT_ROWS = (1, 4, 1, 17, 40, 2)
_WRITTEN_AGAIN_EVERY = 16
"""Among this many cuts one is not only read, but written to again."""


def loaded_store(path: Path, log_bytes: int) -> list[int]:
    """Make `path` and its log those of a store that died; return the rows after each commit.

    Some of it has been moved from the log into the file, and the log was begun anew since.
    """
    living = path.with_name(path.name + ".living")
    with Store.open(living, station_id="marsh") as store:
        first = last = 0
        while _log_of(living).stat().st_size < log_bytes:
            last = first + COMMIT_ROWS[first % len(COMMIT_ROWS)]
            store.append(numbers(range(first, last)))
            first = last
        assert store.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0] == 0
        commits = [last]
        begun = last
        # Until three quarters of the old log are overwritten: the rest is what it had before.
        while (last - begun) * 4 < begun * 3:
            last += COMMIT_ROWS[len(commits) % len(COMMIT_ROWS)]
            store.append(numbers(range(commits[-1], last)))
            commits.append(last)
        shutil.copy(living, path)
        shutil.copy(_log_of(living), _log_of(path))
    return commits


def cut_logs(log: bytes, step: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield what may be left of a log: every multiple of `step` bytes, and odd lengths between.

    For each block of 4 KiB a cut comes also as a log whose end was allocated but holds zeros, or
    the garbage of what had been there, and as one in which only that block was not written.
    """
    dice = random.Random(seed)
    for at in range(0, len(log), step):
        yield f"cut at {at}", log[:at]
        if at % 4096:
            continue
        odd = at + dice.randrange(1, step)
        yield f"cut at {odd}", log[:odd]
        yield f"zeros from {odd}", log[:odd] + bytes(len(log) - odd)
        garbage = dice.randbytes(min(len(log) - odd, 8192))
        yield f"garbage from {odd}", log[:odd] + garbage
        block = dice.randrange(0, len(log), 4096)
        yield f"block {block} missing", log[:block] + bytes(4096) + log[block + 4096 :]


def check_cuts(
    path: Path,
    commits: list[int],
    step: int,
    on_cut: Callable[[int], None] = lambda _: None,
) -> int:
    """Open what each cut leaves, and check that it is sound and holds whole commits, in order.

    Calls `on_cut` with the number of commits that were left; returns how many cuts there were.
    """
    contents, log = path.read_bytes(), _log_of(path).read_bytes()
    cut_path = path.with_name("cut.db")
    cuts = 0
    for what, left in cut_logs(log, step):
        cut_path.write_bytes(contents)
        _log_of(cut_path).write_bytes(left)
        cut_path.with_name("cut.db-shm").unlink(missing_ok=True)
        rows, sound = stored_and_sound(cut_path)
        assert sound, what
        assert rows == list(range(len(rows))), what
        assert len(rows) in commits, what
        if cuts % _WRITTEN_AGAIN_EVERY == 0:
            with Store.open(cut_path) as store:
                store.append(numbers([-1]))
            assert stored(cut_path) == [*rows, -1], what
        on_cut(commits.index(len(rows)))
        cuts += 1
    return cuts


_PROGRAM = """
from pathlib import Path
from store_traffic import numbers
from receiver.store import database
from receiver.store.database import Store
database._WAL_PAGES_BEFORE_CHECKPOINT = 60
first = 0
with Store.open(Path({path!r}), station_id="marsh") as store:
    say(0)
    for rows in (1, 4, 40, 2, 1, 90) * 6:
        store.append(numbers(range(first, first + rows)))
        first += rows
        say(first)
"""


def check_unsynced_cuts(folder: Path, every: int) -> int:
    """Cut the power at every n-th write of a program that fills a store; return how many cuts.

    Checks each time that the store is sound and has everything that was told durable by then.
    """
    path = folder / "store" / "a.db"
    path.parent.mkdir()
    told = recorded_writes(folder, _PROGRAM.format(path=str(path)))
    assert told[-1] == 6 * 138
    power_cuts = PowerCuts(folder)
    cut_path = power_cuts.path_of(path)
    cuts = 0
    for durable in power_cuts.moments(every):
        cuts += 1
        try:
            Store.open(cut_path).close()
        except StoreDamagedError:
            assert durable < 0, "a store that was made is damaged"
            continue
        assert is_sound(cut_path)
        rows = stored(cut_path)
        assert rows == list(range(len(rows)))
        assert len(rows) >= durable, "rows that were told durable are lost"
    return cuts


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")
