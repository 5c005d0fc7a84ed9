"""The station's tag list arranged for its antennas: one code book for each frequency they hear."""

from typing import Final

import msgspec

from protocols.coded_id import CodeBook, CodedTag, TagList, Tolerances, for_antenna

_BOOKS_KEPT: Final = 16
"""Nominal frequencies at one station: one or two; a book of 1000 tags has about 2 MB."""


class Chosen(msgspec.Struct, frozen=True, eq=False):
    """What one antenna looks for."""

    tags: tuple[CodedTag, ...]
    book: CodeBook


class CodeBooks:
    """Makes the book of each tuned frequency once; antennas share them."""

    def __init__(self, tag_list: TagList, tolerances: Tolerances | None = None) -> None:
        self.tag_list = tag_list
        self._tolerances = tolerances or Tolerances()
        self._by_frequency: dict[float | None, Chosen] = {}

    def of(self, tuned_mhz: float | None) -> Chosen:
        """Return what an antenna looks for that is tuned so (None: not known)."""
        key = None if tuned_mhz is None else round(tuned_mhz, 3)
        chosen = self._by_frequency.get(key)
        if chosen is None:
            if len(self._by_frequency) >= _BOOKS_KEPT:
                self._by_frequency.clear()
            tags = for_antenna(self.tag_list.tags, key)
            same = next((each for each in self._by_frequency.values() if each.tags == tags), None)
            chosen = same or Chosen(tags, CodeBook(tags, self._tolerances))
            self._by_frequency[key] = chosen
        return chosen
