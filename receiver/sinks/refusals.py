"""Whose fault a refusal is: the row's, or the far end's.

A row is at fault when the far end refused it alone, then took a row that came after it, and then
refused it alone again. Until then nothing is set aside: a far end that refuses everything is wrong
itself, and takes the same rows once it is mended.

Rows after the refused one are tried one at a time; after `SINK_SUSPECTS` refusals the tries leap,
twice as far each time, and back in halves where they leapt beyond the end. So a long stretch of bad
rows is no wall, and a far end that refuses a million rows is known for one after some 70 tries.
"""

from collections.abc import Mapping

from receiver.limits import SINK_SUSPECTS
from receiver.store.outbox import RefusedRow


class Refusals:
    """What one far end refused of one store, lately."""

    def __init__(self) -> None:
        self._store_uuid = ""
        self._suspects: list[RefusedRow] = []
        self._proven: set[tuple[str, int]] = set()
        self._leap = 0
        self._is_end_known = False

    @property
    def last_reason(self) -> str | None:
        """Why the last suspect was refused; None where there is no suspect."""
        return self._suspects[-1].reason if self._suspects else None

    def of(self, store_uuid: str) -> "Refusals":
        """Return itself, emptied if what it knows is of another store."""
        if store_uuid != self._store_uuid:
            self._store_uuid = store_uuid
            self.forget()
            self._proven.clear()
        return self

    def forget(self) -> None:
        """Begin again with the first suspect."""
        self._suspects.clear()
        self._leap = 0
        self._is_end_known = False

    def refused(self, kind: str, key: int, reason: str) -> RefusedRow | None:
        """Tell that a row was refused alone; return it if it is to be set aside."""
        row = RefusedRow(kind, key, reason)
        # Behind a suspect nothing is set aside: the mark would pass over the suspect, too.
        if (kind, key) in self._proven and not self._suspects:
            self._proven.discard((kind, key))
            return row
        self._suspects.append(row)
        if len(self._suspects) > SINK_SUSPECTS and not self._is_end_known:
            self._leap = max(1, 2 * self._leap)
        return None

    def leapt_too_far(self) -> bool:
        """Tell that no row is there where it leapt to; return whether a shorter leap is left."""
        if self._leap == 0:
            return False
        self._is_end_known = True
        self._leap //= 2
        return True

    def taken(self) -> bool:
        """Tell that the far end took rows; return whether suspects were passed over for them.

        These are then tried again, each alone: what the far end took beyond them does not count.
        """
        if not self._suspects:
            return False
        self._proven = {(row.kind, row.key) for row in self._suspects}
        self.forget()
        return True

    def passed_over(self, marks: Mapping[str, int]) -> dict[str, int]:
        """Return from where to read on: beyond the suspects."""
        beyond = dict(marks)
        for row in self._suspects:
            beyond[row.kind] = max(beyond.get(row.kind, 0), row.key)
        if self._suspects:
            beyond[self._suspects[-1].kind] += self._leap
        return beyond
