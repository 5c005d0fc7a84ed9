"""The formats by name, and making one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from receiver.exports import ctt, darwin_core, detections_csv, euring, motus, movebank
from receiver.exports.request import MissingMetadataError, Report, Request
from receiver.exports.staging import Staging


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """One format."""

    about: str
    missing: Callable[[Request], list[str]]
    write: Callable[[Request, Staging], Report]
    tables: tuple[str, ...] = ("detections",)
    """Whose rows it reads."""


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        "motus": Format(
            about="files as SensorGnome writes them, for Motus",
            missing=motus.missing,
            write=motus.write,
            tables=("detections", "pulses", "gps_fixes", "events"),
        ),
        "ctt": Format(
            about="CSV files as a CTT station writes them",
            missing=ctt.missing,
            write=ctt.write,
            tables=("detections", "relay_health", "gps_fixes"),
        ),
        "movebank": Format(
            about="a data package in Movebank's terms",
            missing=movebank.missing,
            write=movebank.write,
        ),
        "darwin-core": Format(
            about="a Darwin Core Archive, for GBIF",
            missing=darwin_core.missing,
            write=darwin_core.write,
        ),
        "euring": Format(
            about="EURING 2020 records, for a ringing scheme",
            missing=euring.missing,
            write=euring.write,
        ),
        "csv": Format(
            about="every key of every detection",
            missing=detections_csv.missing,
            write=detections_csv.write,
        ),
    }
)


def export(name: str, request: Request, out: Path) -> Report:
    """Write the format `name` into the folder `out`; its files appear whole, at the end.

    Raises:
        MissingMetadataError: the metadata lack something; nothing was written.
        ExportError: the folder cannot be written to.
        OSError, sqlite3.Error: disk full, store damaged; nothing of the export is left.
    """
    wanted = FORMATS[name]
    connection = request.reader.connection
    # One moment of the store for all queries, while the daemon goes on writing.
    connection.execute("BEGIN")
    try:
        missing = wanted.missing(request)
        if missing:
            told = "".join(f"\n  {each}" for each in missing)
            raise MissingMetadataError(
                f"{name} needs what the metadata do not tell:{told}\n"
                "`stopover export --example-metadata FILE` writes a file to fill in; use it with"
                " --metadata FILE"
            )
        with Staging(out) as staging:
            report = wanted.write(request, staging)
        report.files = staging.final_paths()
    finally:
        connection.execute("ROLLBACK")
    return report
