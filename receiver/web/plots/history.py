"""What the page plots of an hour, a day, a week, a month: the answer of /api/history."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import msgspec

from receiver.utc_text import iso_utc
from receiver.web.plots import tables
from receiver.web.plots.clock_history import ClockHistory, clock_history, true_hours
from receiver.web.plots.sidecar import Plots
from receiver.whereabouts import STATION_LINK

Period: TypeAlias = Literal["hour", "day", "week", "month"]

TOP_TAGS: Final = 12


class _Grid(msgspec.Struct, frozen=True):
    """How a period is cut."""

    step_s: int
    steps: int


_GRIDS: Final[Mapping[Period, _Grid]] = MappingProxyType(
    {
        "hour": _Grid(60, 60),
        "day": _Grid(tables.QUARTER_S, 96),
        "week": _Grid(tables.HOUR_S, 168),
        "month": _Grid(6 * tables.HOUR_S, 120),
    }
)

Line: TypeAlias = list[float | None]
"""One value a step; null where nothing is known."""


class TagHistory(msgspec.Struct, frozen=True, kw_only=True):
    """How often one tag was heard."""

    tag_id: str
    tag_name: str | None
    detections: int
    counts: list[int]


class LevelHistory(msgspec.Struct, frozen=True, kw_only=True):
    """How strong an antenna heard what it heard, to whole decibels."""

    median_rssi_dbm: Line
    max_rssi_dbm: Line


class History(msgspec.Struct, frozen=True, kw_only=True):
    """A period in steps of equal length; every list has a value for each step."""

    period: Period
    start: str
    end: str
    step_s: int
    times: list[int]
    """When each step begins, seconds since 1970."""
    detections: dict[str, list[int]]
    """By antenna, or by link where it has no name."""
    tags: list[TagHistory]
    """Those heard most."""
    other_tags: list[int]
    levels: dict[str, LevelHistory]
    noise_dbm: dict[str, Line]
    noise_dbfs: dict[str, Line]
    """Of software radios, relative to full scale at their gain."""
    gain_db: dict[str, Line]
    listening: dict[str, Line]
    """Part of the time that the antenna listened; as finely as hours tell."""
    clock: ClockHistory
    temperature_c: Line
    voltage_v: Line
    battery_v: dict[str, Line]
    """Of relays and receivers, by what they are called."""
    backlog: dict[str, Line]
    """Rows that wait, by sink."""
    disk_free_bytes: Line


class Window(msgspec.Struct, frozen=True):
    """The time looked at."""

    start_s: int
    step_s: int
    steps: int

    @property
    def end_s(self) -> int:
        """When its last step ends."""
        return self.start_s + self.step_s * self.steps

    def place(self, time_s: float) -> int:
        """Return the number of the step that a time lies in; it may be outside."""
        return int((time_s - self.start_s) // self.step_s)


def history(
    plots: Plots, period: Period, end_s: int, now_s: float, names: Mapping[str, str]
) -> History:
    """Return a period that ends with the step in which `end_s` lies.

    Raises:
        PlotsError, PlotsStopped, sqlite3.Error: as `Plots.up_to_date`.
    """
    connection = plots.up_to_date(now_s)
    grid = _GRIDS[period]
    last_s = end_s // grid.step_s * grid.step_s
    window = Window(last_s - grid.step_s * (grid.steps - 1), grid.step_s, grid.steps)
    prefix, counted_s = "", min(grid.step_s, tables.HOUR_S)
    if period == "hour":
        if plots.count_minutes(window.start_s, window.end_s):
            prefix = "minute_"
        else:
            counted_s = tables.QUARTER_S
            window = _coarser(window, counted_s)
    (quarters_from_s,) = connection.execute("SELECT quarters_from_s FROM state").fetchone()
    if period == "day" and window.start_s < quarters_from_s:
        counted_s = tables.HOUR_S
        window = _coarser(window, counted_s)
    counts = _Counts(connection, prefix, counted_s, window)
    top = counts.top_tags()
    by_tag = counts.by_tag([number for number, _, _ in top])
    detections = counts.by_place()
    others = [sum(counted) for counted in zip(*detections.values(), strict=True)] or _zeros(window)
    for counted in by_tag.values():
        others = [other - own for other, own in zip(others, counted, strict=True)]
    readings = counts.readings()
    return History(
        period=period,
        start=iso_utc(window.start_s * 10**9),
        end=iso_utc(window.end_s * 10**9),
        step_s=window.step_s,
        times=[window.start_s + number * window.step_s for number in range(window.steps)],
        detections=detections,
        tags=[
            TagHistory(
                tag_id=tag_id,
                tag_name=names.get(tag_id),
                detections=total,
                counts=by_tag[number],
            )
            for number, tag_id, total in top
        ],
        other_tags=others,
        levels=counts.levels(),
        noise_dbm=_of("noise_dbm", readings),
        noise_dbfs=_of("noise_dbfs", readings),
        gain_db=_of("gain_db", readings),
        listening=listening(connection, window, now_s),
        clock=clock_history(connection, window.start_s, window.step_s, window.steps),
        temperature_c=_own("temperature_c", readings, window),
        voltage_v=_own("voltage_v", readings, window),
        battery_v=_of("battery_v", readings),
        backlog={
            what.removeprefix("waiting_"): line
            for (what, who), line in readings.items()
            if what.startswith("waiting_") and who == STATION_LINK
        },
        disk_free_bytes=_own("disk_free_bytes", readings, window),
    )


def listening(
    connection: sqlite3.Connection, window: Window, now_s: float
) -> dict[str, list[float | None]]:
    """Return the part of each step that each antenna listened, from the hours of `activity`.

    Null where no station ran; an hour that still lasts is held against what has passed of it.
    """
    hours_of = true_hours(connection)
    first_hour_s = window.start_s // tables.HOUR_S * tables.HOUR_S
    hours: dict[tuple[str, int], float] = {}
    for session, hour_s, link, antenna, listened_s in connection.execute(
        "SELECT session, hour_utc_s, link, antenna, listening_s FROM store.activity"
        " WHERE (hour_utc_s >= ? AND hour_utc_s < ?) OR substr(session, 1, 8) IN"
        " (SELECT substr(text, 1, 8) FROM store.clock_samples JOIN store.texts ON texts.id = boot"
        " WHERE clock NOT IN (0, 1, 2))",
        (first_hour_s, window.end_s),
    ):
        true_hour_s = hours_of.of(session, hour_s)
        if first_hour_s <= true_hour_s < window.end_s:
            key = (antenna or link, true_hour_s)
            hours[key] = hours.get(key, 0.0) + listened_s
    told: dict[str, list[float | None]] = {}
    for (place, hour_s), listened_s in sorted(hours.items()):
        line = told.setdefault(place, [None] * window.steps)
        passed_s = min(tables.HOUR_S, max(1.0, now_s - hour_s))
        part = min(1.0, listened_s / passed_s)
        if window.step_s <= tables.HOUR_S:
            first = max(0, window.place(hour_s))
            last = min(window.steps, window.place(hour_s + tables.HOUR_S - 1) + 1)
            line[first:last] = [part] * (last - first)
        else:
            step = window.place(hour_s)
            hours_in_step = window.step_s / tables.HOUR_S
            line[step] = (line[step] or 0.0) + part / hours_in_step
    return {place: [_rounded(part) for part in line] for place, line in told.items()}


class _Counts:
    """What one table set holds of a window."""

    def __init__(
        self, connection: sqlite3.Connection, prefix: str, counted_s: int, window: Window
    ) -> None:
        self._connection = connection
        self._prefix = prefix
        self._window = window
        self._told = {
            "counted_s": counted_s,
            "start_s": window.start_s,
            "end_s": window.end_s,
            "step_s": window.step_s,
        }

    def by_place(self) -> dict[str, list[int]]:
        """Return the detections of each antenna."""
        lines: dict[str, list[int]] = {}
        for place, step, n in self._rows("bins", "places.name, {step}, sum(n)", "places"):
            lines.setdefault(place, _zeros(self._window))[step] = n
        return lines

    def top_tags(self) -> list[tuple[int, str, int]]:
        """Return number, id and count of the tags heard most."""
        asked = self._asked("bins", "tag, tags.tag_id, sum(n) AS total", "tags")
        ask = f"{asked} GROUP BY 1 ORDER BY total DESC, tags.tag_id LIMIT {TOP_TAGS}"
        return self._connection.execute(ask, self._told).fetchall()

    def by_tag(self, numbers: Sequence[int]) -> dict[int, list[int]]:
        """Return the detections of some tags."""
        lines = {number: _zeros(self._window) for number in numbers}
        wanted = f" AND tag IN ({', '.join(map(str, numbers))})"
        asked = self._asked("bins", "tag, {step}, sum(n)") + wanted
        for tag, step, n in self._connection.execute(f"{asked} GROUP BY 1, 2", self._told):
            lines[tag][step] = n
        return lines

    def levels(self) -> dict[str, LevelHistory]:
        """Return the levels of each antenna."""
        found: dict[str, dict[int, list[tuple[int, int]]]] = {}
        asked = self._asked("levels", "places.name, {step}, rssi_dbm, sum(n)", "places")
        for place, step, rssi_dbm, n in self._connection.execute(
            f"{asked} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3", self._told
        ):
            found.setdefault(place, {}).setdefault(step, []).append((rssi_dbm, n))
        told = {}
        for place, steps in found.items():
            median, most = _nothing(self._window), _nothing(self._window)
            for step, counted in steps.items():
                median[step] = _median(counted)
                most[step] = counted[-1][0]
            told[place] = LevelHistory(median_rssi_dbm=median, max_rssi_dbm=most)
        return told

    def readings(self) -> dict[tuple[str, str], Line]:
        """Return the means of what was measured, by what and who."""
        lines: dict[tuple[str, str], Line] = {}
        asked = self._asked("readings", "what, who, {step}, sum(total) / sum(n)")
        for what, who, step, mean in self._connection.execute(
            f"{asked} GROUP BY 1, 2, 3", self._told
        ):
            lines.setdefault((what, who), _nothing(self._window))[step] = round(mean, 3)
        return lines

    def _rows(self, table: str, columns: str, named: str) -> Iterable[tuple[str, int, int]]:
        return self._connection.execute(
            f"{self._asked(table, columns, named)} GROUP BY 1, 2 ORDER BY 1, 2", self._told
        )

    def _asked(self, table: str, columns: str, named: str | None = None) -> str:
        column = {"places": "place", "tags": "tag"}
        join = f" JOIN {named} ON {named}.id = row.{column[named]}" if named else ""
        step = "(time_s - :start_s) / :step_s"
        return (
            f"SELECT {columns.format(step=step)} FROM {self._prefix}{table} AS row{join}"
            " WHERE row.step_s = :counted_s AND time_s >= :start_s AND time_s < :end_s"
        )


def _coarser(window: Window, step_s: int) -> Window:
    """Return the same time in larger steps, begun at a whole one."""
    start_s = window.start_s // step_s * step_s
    return Window(start_s, step_s, -(-(window.end_s - start_s) // step_s))


def _median(counted: Sequence[tuple[int, int]]) -> float:
    """Return the median of (value, how often), lowest value first."""
    total = sum(n for _, n in counted)
    passed = 0
    lower: int | None = None
    for value, n in counted:
        passed += n
        if lower is not None:
            return (lower + value) / 2
        if 2 * passed > total:
            return value
        if 2 * passed == total:
            lower = value
    return counted[-1][0]


def _of(what: str, readings: Mapping[tuple[str, str], Line]) -> dict[str, Line]:
    return {who: line for (key, who), line in readings.items() if key == what}


def _own(what: str, readings: Mapping[tuple[str, str], Line], window: Window) -> Line:
    return readings.get((what, STATION_LINK)) or _nothing(window)


def _rounded(part: float | None) -> float | None:
    return None if part is None else round(part, 3)


def _zeros(window: Window) -> list[int]:
    return [0] * window.steps


def _nothing(window: Window) -> Line:
    return [None] * window.steps
