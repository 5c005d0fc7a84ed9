"""Something that comes and goes: its beginning is told once, and its end once it stayed away."""

from typing import Literal


class Spell:
    """Told at regular times whether it is so; says when that is news."""

    def __init__(self, ends_after: int) -> None:
        """It is over when so many looks in a row did not find it."""
        self._ends_after = ends_after
        self._looks_without: int | None = None
        """Since it was last so; None while there is nothing to end."""

    def look(self, *, is_so: bool) -> Literal["begins", "ends"] | None:
        """Take a look; return what is to be told."""
        if is_so:
            is_new = self._looks_without is None
            self._looks_without = 0
            return "begins" if is_new else None
        if self._looks_without is None:
            return None
        self._looks_without += 1
        if self._looks_without < self._ends_after:
            return None
        self._looks_without = None
        return "ends"
