"""A tag list, arranged for the search: codes, the tags that share them, and tables of gaps.

Tags whose gaps agree within the tolerance send the same code; among these, tags whose intervals
agree within the tolerance cannot be told apart and are reported together. Other programs refuse
such lists (find_tags on the receiver) or invent proxy tags (the Motus server).
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from protocols.coded_id.tag_list import CodedTag
from protocols.coded_id.tolerances import NS_PER_MS, NS_PER_S, Tolerances

_CELL_NS: Final = 250_000
"""Width of a cell of the last gap's bit map: a sixth of the tolerance."""


class Interval(msgspec.Struct, frozen=True, eq=False):
    """Tags of one code that repeat it at one interval."""

    interval_ns: int
    tag_ids: tuple[str, ...]
    labels: tuple[str, ...]


class Code(msgspec.Struct, frozen=True, eq=False):
    """Three gaps and who sends them."""

    gaps_ns: tuple[int, int, int]
    offsets_ns: tuple[int, int, int, int]
    """Of the four pulses from the first."""
    intervals: tuple[Interval, ...]
    """Shortest first."""
    tag_ids: tuple[str, ...]
    labels: tuple[str, ...]
    silence_ns: int
    """How long a burst of this code may wait for its second."""


class GapPair(msgspec.Struct, frozen=True, eq=False):
    """A code as the search meets it: last gap, then the middle one, then the first."""

    third_from_ns: int
    third_to_ns: int
    second_from_ns: int
    second_to_ns: int
    first_from_ns: int
    first_to_ns: int
    code: Code


def _alike(first: CodedTag, second: CodedTag, gap_ms: float) -> bool:
    return all(abs(a - b) <= gap_ms for a, b in zip(first.gaps_ms, second.gaps_ms, strict=True))


def _code(tags: list[CodedTag], tolerances: Tolerances) -> Code:
    lists = [[tag.gaps_ms[position] for tag in tags] for position in range(3)]
    # The middle of those who share the code: each lies within its tolerance as well as it can.
    gaps = [round((min(gaps) + max(gaps)) / 2 * NS_PER_MS) for gaps in lists]
    tags.sort(key=lambda tag: (tag.burst_interval_s, tag.tag_id))
    groups: list[list[CodedTag]] = []
    for tag in tags:
        apart_s = tag.burst_interval_s - groups[-1][0].burst_interval_s if groups else None
        if apart_s is not None and apart_s <= tolerances.interval_ms / 1000.0:
            groups[-1].append(tag)
        else:
            groups.append([tag])
    intervals = tuple(
        Interval(
            round(sum(tag.burst_interval_s for tag in group) / len(group) * NS_PER_S),
            tuple(tag.tag_id for tag in group),
            tuple(tag.label for tag in group),
        )
        for group in groups
    )
    first, second, third = gaps
    return Code(
        gaps_ns=(first, second, third),
        offsets_ns=(0, first, first + second, first + second + third),
        intervals=intervals,
        tag_ids=tuple(tag.tag_id for tag in tags),
        labels=tuple(tag.label for tag in tags),
        silence_ns=max(tolerances.silence_ns(interval.interval_ns) for interval in intervals),
    )


class CodeBook:
    """The tags that antennas look for; made once for a list and shared by its antennas."""

    def __init__(self, tags: Iterable[CodedTag], tolerances: Tolerances | None = None) -> None:
        self.tolerances = tolerances or Tolerances()
        alike: dict[tuple[int, ...], list[list[CodedTag]]] = {}
        shared: list[list[CodedTag]] = []
        gap_ms = self.tolerances.gap_ms
        for tag in tags:
            # Cells as wide as the tolerance: whoever is alike lies in a cell beside.
            cells = [int(gap // gap_ms) for gap in tag.gaps_ms]
            near = (
                group
                for first in range(cells[0] - 1, cells[0] + 2)
                for second in range(cells[1] - 1, cells[1] + 2)
                for third in range(cells[2] - 1, cells[2] + 2)
                for group in alike.get((first, second, third), ())
            )
            group = next((group for group in near if _alike(group[0], tag, gap_ms)), None)
            if group is None:
                group = [tag]
                shared.append(group)
                alike.setdefault(tuple(cells), []).append(group)
            else:
                group.append(tag)
        self.codes = tuple(_code(group, self.tolerances) for group in shared)
        self._tabulate()

    def _tabulate(self) -> None:
        slack = round(self.tolerances.gap_ms * NS_PER_MS)
        self.pair_cell_ns = max(2 * slack, 1)
        """Width of the pair table's cells: a window of the tolerance touches two of them."""
        self.cell_ns = _CELL_NS
        thirds = [code.gaps_ns[2] for code in self.codes]
        self.longest_third_ns = max(thirds, default=0) + slack
        self.shortest_third_ns = min(thirds, default=0) - slack
        self.longest_burst_ns = max((code.offsets_ns[3] for code in self.codes), default=0)
        self.search_pulses = self._most_worth_searching(2 * slack)
        """How many pulses of like frequency and level a search looks through; see `Tolerances`."""
        self.third_cells = bytearray(self.longest_third_ns // _CELL_NS + 2)
        """1 where a gap of that many cells can be the last gap of a code."""
        pairs: dict[tuple[int, int], list[GapPair]] = {}
        width = self.pair_cell_ns
        for code in self.codes:
            first, second, third = code.gaps_ns
            for cell in range(max(third - slack, 0) // _CELL_NS, (third + slack) // _CELL_NS + 1):
                self.third_cells[cell] = 1
            pair = GapPair(
                third - slack,
                third + slack,
                second - slack,
                second + slack,
                first - slack,
                first + slack,
                code,
            )
            for third_cell in range((third - slack) // width, (third + slack) // width + 1):
                for second_cell in range((second - slack) // width, (second + slack) // width + 1):
                    pairs.setdefault((third_cell, second_cell), []).append(pair)
        self.pairs = {cells: tuple(found) for cells, found in pairs.items()}
        """By the cells of the last and the middle gap."""

    def _most_worth_searching(self, accepted_ns: int) -> int:
        """Return the count of pulses that make up as many accidents as are allowed.

        Three pulses of a burst itself lie there too.
        """
        if not self.codes or not accepted_ns:
            return self.tolerances.search_pulses
        share = (self.tolerances.accidents_per_pulse / len(self.codes)) ** (1 / 3)
        accidental = 3 + int(share * self.longest_burst_ns / accepted_ns)
        return min(accidental, self.tolerances.search_pulses)
