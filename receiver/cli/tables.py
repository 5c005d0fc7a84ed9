"""Rows as a person, a script or a spreadsheet reads them."""

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from receiver.cli.lost_output import print_to_nobody
from receiver.log import escaped

OutputFormat: TypeAlias = Literal["table", "json", "csv"]


def print_rows(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], output_format: OutputFormat
) -> None:
    """Print rows: `json` one object a line with every key, `csv` and `table` the named columns.

    A reader that goes away early (`| head`) ends the printing, not with an error.
    """
    try:
        {"json": _print_json, "csv": _print_csv, "table": _print_table}[output_format](
            rows, columns
        )
        sys.stdout.flush()
    except BrokenPipeError:
        print_to_nobody()


def _print_json(rows: Iterable[Mapping[str, Any]], _columns: Sequence[str]) -> None:
    encode = msgspec.json.Encoder().encode
    write = sys.stdout.buffer.write
    for row in rows:
        write(encode(row) + b"\n")


def _print_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])


def _print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print aligned columns; widths come from the first rows, so that a long table can stream."""
    widths: list[int] = []
    waiting: list[list[str]] = []
    for row in rows:
        waiting.append([escaped(_cell(row[column])) for column in columns])
        if not widths and len(waiting) == _ROWS_MEASURED:
            widths = _print_head(columns, waiting)
        if widths:
            _print_aligned(waiting, widths)
            waiting.clear()
    if not widths:
        widths = _print_head(columns, waiting)
    _print_aligned(waiting, widths)


_ROWS_MEASURED = 200


def _print_head(columns: Sequence[str], cells: list[list[str]]) -> list[int]:
    widths = [
        max(len(column), *(len(line[place]) for line in cells)) if cells else len(column)
        for place, column in enumerate(columns)
    ]
    _print_aligned([list(columns)], widths)
    return widths


def _print_aligned(lines: Iterable[list[str]], widths: Sequence[int]) -> None:
    for line in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write(text.rstrip() + "\n")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return msgspec.json.encode(value).decode() if value else ""
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
