"""Tag lists in the formats that owners have, columns by name.

    find_tags CSV      proj id tagFreq fcdFreq g1 g2 g3 bi dfreq g1.sd … filename (15 columns)
    SensorGnome SQLite table `tags`: the same names, `g1_sd` for `g1.sd`, more or fewer columns
    Motus              tagID nomFreq offsetFreq param1 param2 param3 period mfgID codeSet

Gaps (g1-g3, param1-3) in ms, intervals (bi, period) in s, tagFreq and nomFreq in MHz, dfreq and
offsetFreq in kHz. Only the gaps, the interval, the frequency and the id are needed; whatever other
columns there are is left alone. A bad row is skipped and reported, never the whole list.

Sources: find_tags `Tag_Database` (CSV and SQLite), motusWTS/find_tags `Tag_Database` (Motus),
sensorgnome-control's SG_tag_database.sqlite, motusServer `createRecvTagDB.R`.
"""

import csv
import math
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from protocols.errors import FileFormatError

_GAP_MS: Final = (1.0, 1000.0)
"""Real gaps are 19 to 159 ms; the bound keeps the search window short."""
_INTERVAL_S: Final = (0.5, 3600.0)
"""Real intervals are 3 to 60 s."""
_FREQUENCY_MHZ: Final = (1.0, 10_000.0)
_SAME_NOMINAL_MHZ: Final = 0.01
"""Measured nominal frequencies differ by some kHz; the next nominal one is 0.3 MHz away."""
_OWNER_COLUMNS: Final = ("proj", "id", "tagFreq", "g1", "g2", "g3", "bi")
_MOTUS_COLUMNS: Final = ("tagID", "nomFreq", "param1", "param2", "param3", "period")
WANTED: Final = (
    "columns proj, id, tagFreq, g1, g2, g3, bi (find_tags, SensorGnome) or "
    "tagID, nomFreq, param1, param2, param3, period (Motus)"
)
"""What a tag list must hold, for messages."""


class CodedTag(msgspec.Struct, frozen=True, kw_only=True):
    """One tag of a list."""

    project: str
    id: str
    frequency_mhz: float
    gaps_ms: tuple[float, float, float]
    burst_interval_s: float
    offset_khz: float = 0.0

    @property
    def tag_id(self) -> str:
        """`project#id`, as detections carry it."""
        return f"{self.project}#{self.id}"

    @property
    def label(self) -> str:
        """`project#id@MHz:interval`, the interval to 0.1 s, as find_tags prints it."""
        return f"{self.tag_id}@{self.frequency_mhz:.7g}:{round(self.burst_interval_s, 1):g}"


class TagList(msgspec.Struct, frozen=True, kw_only=True):
    """The tags that could be read and what was skipped."""

    tags: tuple[CodedTag, ...]
    warnings: tuple[str, ...] = ()
    """One a skipped row: `line 7: g2 is 'x', a number of ms between 1 and 1000 is needed`."""


class _BadRowError(ValueError):
    """A row that names no tag; caught in this file."""


def _text(row: Mapping[str, object], column: str) -> str:
    value = row.get(column)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if value is None else str(value).strip()
    if not text:
        raise _BadRowError(f"{column} is empty")
    return text


def _number(
    row: Mapping[str, object], column: str, unit: str, bounds: tuple[float, float]
) -> float:
    value = row.get(column)
    try:
        number = float(value)  # type: ignore[arg-type]  # What float cannot take is the report.
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not bounds[0] <= number <= bounds[1]:
        raise _BadRowError(
            f"{column} is {value!r}, a number of {unit} between {bounds[0]:g} and {bounds[1]:g} "
            "is needed"
        )
    return number


def _offset_khz(row: Mapping[str, object], column: str) -> float:
    try:
        offset = float(row.get(column) or 0.0)  # type: ignore[arg-type]  # As in _number.
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return offset if math.isfinite(offset) else 0.0


def _tag(row: Mapping[str, object], *, is_motus: bool) -> CodedTag:
    if is_motus:
        project = str(row.get("projectid") or "motus").strip()
        identity, frequency, interval, offset = "tagid", "nomfreq", "period", "offsetfreq"
        gap_columns = ("param1", "param2", "param3")
    else:
        project = _text(row, "proj")
        identity, frequency, interval, offset = "id", "tagfreq", "bi", "dfreq"
        gap_columns = ("g1", "g2", "g3")
    first, second, third = (_number(row, column, "ms", _GAP_MS) for column in gap_columns)
    burst_interval_s = _number(row, interval, "s", _INTERVAL_S)
    if burst_interval_s * 1000.0 <= first + second + third:
        raise _BadRowError(f"{interval} is {burst_interval_s:g} s, shorter than the burst itself")
    return CodedTag(
        project=project,
        id=_text(row, identity),
        frequency_mhz=_number(row, frequency, "MHz", _FREQUENCY_MHZ),
        gaps_ms=(first, second, third),
        burst_interval_s=burst_interval_s,
        offset_khz=_offset_khz(row, offset),
    )


def _is_motus(columns: Iterable[str]) -> bool:
    """Say whether `columns` (lower case) are those of Motus's own table.

    Raises:
        FileFormatError: they are of no tag list; the message says what is missing.
    """
    have = set(columns)
    missing_of = {
        names: [name for name in names if name.lower() not in have]
        for names in (_OWNER_COLUMNS, _MOTUS_COLUMNS)
    }
    for names, missing in missing_of.items():
        if not missing:
            return names is _MOTUS_COLUMNS
    closest = _MOTUS_COLUMNS if "tagid" in have else _OWNER_COLUMNS
    missing_names = ", ".join(missing_of[closest])
    raise FileFormatError(f"this is no tag list: {missing_names} missing; it needs {WANTED}")


def _read(numbered_rows: Iterable[tuple[str, Mapping[str, object]]], *, is_motus: bool) -> TagList:
    tags: dict[CodedTag, None] = {}
    warnings = []
    for place, row in numbered_rows:
        try:
            tag = _tag(row, is_motus=is_motus)
        except _BadRowError as problem:
            warnings.append(f"{place}: {problem}")
            continue
        if tag in tags:
            warnings.append(f"{place}: {tag.label} is listed twice")
        tags[tag] = None
    return TagList(tags=tuple(tags), warnings=tuple(warnings))


def _csv_rows(
    lines: list[str], header: list[str], warnings: list[str]
) -> Iterable[tuple[str, Mapping[str, object]]]:
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip(' \t,;"\0'):
            continue
        place = f"line {number}"
        try:
            # Line by line: a quote that is never closed must not swallow the lines after it.
            fields = next(csv.reader([line], skipinitialspace=True))
        except csv.Error as problem:
            warnings.append(f"{place}: {problem}")
            continue
        if len(fields) != len(header):
            warnings.append(f"{place}: {len(fields)} fields, the header has {len(header)}")
            continue
        yield place, dict(zip(header, fields, strict=True))


def parse_csv(text: str) -> TagList:
    """Return the tags of a CSV list with a header; columns by name, in any order and case.

    Raises:
        FileFormatError: the header is none of a tag list; the message says what is missing.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    try:
        header = [name.strip().lower() for name in next(csv.reader(lines[:1]), [])]
    except csv.Error as problem:
        raise FileFormatError(f"this is no tag list: {problem}; it needs {WANTED}") from problem
    is_motus = _is_motus(header)
    warnings: list[str] = []
    read = _read(_csv_rows(lines, header, warnings), is_motus=is_motus)
    return TagList(tags=read.tags, warnings=(*warnings, *read.warnings))


def parse_rows(columns: Iterable[str], rows: Iterable[Mapping[str, object]]) -> TagList:
    """Return the tags of a table's rows, each a mapping by column name.

    Raises:
        FileFormatError: `columns` are none of a tag list; the message says what is missing.
    """
    is_motus = _is_motus(column.lower() for column in columns)
    return _read(
        (
            (f"row {number}", {column.lower(): value for column, value in row.items()})
            for number, row in enumerate(rows, start=1)
        ),
        is_motus=is_motus,
    )


def for_antenna(tags: Iterable[CodedTag], tuned_mhz: float | None) -> tuple[CodedTag, ...]:
    """Return the tags of the list's nominal frequency that lies nearest to `tuned_mhz`.

    An antenna that is tuned to 166.376 MHz hears the tags of 166.380 and none of 150.1; where the
    tuning is not known (None), all tags.
    """
    chosen = tuple(tags)
    if tuned_mhz is None or not chosen or not math.isfinite(tuned_mhz):
        return chosen
    nearest = min((tag.frequency_mhz for tag in chosen), key=lambda mhz: abs(mhz - tuned_mhz))
    return tuple(tag for tag in chosen if abs(tag.frequency_mhz - nearest) <= _SAME_NOMINAL_MHZ)
