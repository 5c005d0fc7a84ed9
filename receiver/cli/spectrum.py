"""`stopover spectrum`: allocations at the station's place, who listens in them, how full."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.options import CONFIG_PATH, Number, UtcTime, explained, in_order
from receiver.cli.tables import OutputFormat, print_rows

if TYPE_CHECKING:
    from receiver.settings import Settings
    from receiver.spectrum.allocations import Allocation, Allocations, Region
    from receiver.spectrum.tuning import Tuning

_EXAMPLE = """
\b
Examples:
  stopover spectrum --region CH
  stopover spectrum -c stopover.toml --since 2026-05-01 --format csv > occupancy.csv
  stopover spectrum -c stopover.toml --plot occupancy.svg
"""

_ALLOCATION_COLUMNS = (
    "id",
    "band",
    "regions",
    "status",
    "confidence",
    "checked_on",
    "limit",
    "duty",
    "source",
    "notes",
)
_LINK_COLUMNS = ("link", "antenna", "decoder", "band", "known_from", "allocations")
_TOTAL_COLUMNS = (
    "band",
    "allocations",
    "first_hour",
    "last_hour",
    "hours",
    "listening_s",
    "packets",
    "pulses",
    "noise_dbm",
    "pulse_noise_db",
    "noise_dbfs",
    "occupied",
)


@click.command("spectrum", epilog=_EXAMPLE)
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The configuration; {CONFIG_PATH} if it is there.",
)
@click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The store; else the one that the configuration names.",
)
@click.option("--latitude", type=Number(-90, 90), help="Degrees north, of another place.")
@click.option("--longitude", type=Number(-180, 180), help="Degrees east.")
@click.option("--region", help="Instead of a place: a country (CH), CEPT, AMERICAS or WORLD.")
@click.option(
    "--since", type=UtcTime(), callback=in_order, help="Occupancy from this time on, UTC."
)
@click.option("--until", type=UtcTime(), callback=in_order, help="Occupancy before this time, UTC.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="json: everything, one object a line; csv: the occupancy, by band and hour.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg",
    help="Draw the occupancy.",
)
@explained
def spectrum_command(
    *,
    config_path: Path | None,
    db: Path | None,
    latitude: float | None,
    longitude: float | None,
    region: str | None,
    since: int | None,
    until: int | None,
    output_format: OutputFormat,
    plot: Path | None,
) -> None:
    """Show the radio allocations at the station's place, and how full the bands are.

    No legal advice: each row says how sure it is and where it is from. A place is in every country
    whose coarse box holds it, so near a border the rows of all neighbours are shown; --region names
    one. Occupancy counts what the store's radios received in each band and hour, and how long they
    listened.
    """
    from receiver.spectrum.allocations import names, shipped
    from receiver.spectrum.occupancy import OCCUPANCY_KEYS, band_totals
    from receiver.spectrum.tuning import tunings

    settings = _settings(config_path)
    known = shipped()
    store = db or _store_of(settings)
    if (latitude, longitude, region) == (None, None, None):
        latitude, longitude = _place_of(settings, store)
    regions = _regions(known, latitude, longitude, region)
    rows = known.applying(regions)
    heard_on = list(tunings(settings.links)) if settings else []
    wants_hours = plot is not None or output_format == "csv"
    if store is None and wants_hours:
        raise click.UsageError("occupancy is measured by a station: name its store with --db")
    hours: list[dict[str, Any]] = []
    station = settings.station.id if settings else ""
    if store is not None:
        station, hours, others = _measured(store, since, until, heard_on, rows)
        heard_on += others
    if plot is not None:
        _draw(plot, hours, station, known.advice)
    allocations = [_readable_allocation(row) for row in rows]
    links = [_readable_tuning(each, rows) for each in heard_on]
    if output_format == "csv":
        print_rows(hours, OCCUPANCY_KEYS, "csv")
    elif output_format == "json":
        codes = [each.code for each in regions]
        head = {"kind": "advice", "advice": known.advice, "regions": codes}
        kinds = {"allocation": allocations, "link": links, "occupancy": hours}
        told = ({"kind": kind} | row for kind, kept in kinds.items() for row in kept)
        print_rows([head, *told], (), "json")
    else:
        click.echo(f"{known.advice}\n\nAllocations: {names(regions)}")
        print_rows(allocations, _ALLOCATION_COLUMNS, "table")
        click.echo("\nWho listens where")
        print_rows(links, _LINK_COLUMNS, "table")
        if store is None:
            click.echo("\nNo occupancy: name a store with --db")
            return
        click.echo("\nMeasured occupancy (by hour: --format csv, --plot)")
        if hours:
            print_rows(band_totals(hours), _TOTAL_COLUMNS, "table")
        else:
            click.echo("There is no hour of listening in the store; imported files tell of none.")


def _settings(path: Path | None) -> Settings | None:
    """Return the configuration that is named, else the usual one where there is one."""
    from receiver import config

    if path is None and not CONFIG_PATH.exists():
        return None
    return config.load(path or CONFIG_PATH)


def _regions(
    known: Allocations, latitude: float | None, longitude: float | None, code: str | None
) -> tuple[Region, ...]:
    """Return the regions asked for, by name or by place."""
    if (latitude is None) != (longitude is None):
        raise click.UsageError("a place needs both --latitude and --longitude")
    if code is not None:
        if latitude is not None:
            raise click.UsageError("name either a place or a --region")
        try:
            return known.region(code)
        except KeyError:
            codes = ", ".join(region.code for region in known.regions)
            raise click.UsageError(
                f"no rows are known for --region {code}; known are {codes}"
            ) from None
    if latitude is None or longitude is None:
        raise click.UsageError(
            "where? Give --latitude and --longitude, or --region, or set station.latitude and"
            " station.longitude in the configuration; the store does not tell either"
        )
    return known.regions_at(latitude, longitude)


def _store_of(settings: Settings | None) -> Path | None:
    """Return the configured store where it has been made."""
    path = Path(settings.store.path) if settings else None
    return path if path is not None and path.exists() else None


def _place_of(settings: Settings | None, store: Path | None) -> tuple[float | None, float | None]:
    """Return where the station is, as the configuration says, else as the store does."""
    import time

    from receiver.store.queries import Reader
    from receiver.whereabouts import STATION_LINK

    if settings is not None and settings.station.latitude is not None:
        return settings.station.latitude, settings.station.longitude
    if store is None:
        return None, None
    with Reader(store) as reader:
        place = reader.whereabouts().at(
            STATION_LINK, time.time_ns(), time_quality="ntp", boot=None, is_imported=False
        )
    return (place.latitude, place.longitude) if place else (None, None)


def _measured(
    store: Path,
    since: int | None,
    until: int | None,
    heard_on: list[Tuning],
    rows: tuple[Allocation, ...],
) -> tuple[str, list[dict[str, Any]], list[Tuning]]:
    """Return the station's id, its hours by band, and where radios without settings listened."""
    from receiver.spectrum.occupancy import HourlyNoise, HourlyTuning, hourly_occupancy, untold
    from receiver.spectrum.tuning import Tuning
    from receiver.store.activity_queries import hours_listened
    from receiver.store.hourly_noise import hourly_frequencies, hourly_noise
    from receiver.store.queries import DetectionFilter, Reader
    from receiver.utc_text import iso_utc

    with Reader(store) as reader:
        noise = [
            HourlyNoise(hour=iso_utc(row.pop("hour_ns")), **row)
            for row in hourly_noise(reader.connection, since, until)
        ]
        told = [
            HourlyTuning(
                iso_utc(row["hour_ns"]),
                Tuning(
                    link=row["link"],
                    antenna=row["antenna"],
                    decoder=row["decoder"].partition("/")[0],
                    low_hz=round(row["frequency_hz"]),
                    high_hz=round(row["frequency_hz"]),
                    known_from="told by the radio",
                ),
            )
            for row in hourly_frequencies(reader.connection, since, until)
        ]
        others = untold(told, heard_on)
        activity = hours_listened(reader, DetectionFilter(since_utc_ns=since, until_utc_ns=until))
        hours = hourly_occupancy(activity, noise, [*heard_on, *others], rows, told)
        return reader.station_id, list(hours), others


def _draw(path: Path, hours: list[dict[str, Any]], station: str, advice: str) -> None:
    from receiver.spectrum.plot import occupancy_svg

    try:
        path.write_text(occupancy_svg(hours, station, advice), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path}: cannot be written: {error.strerror}") from error


def _readable_allocation(row: Allocation) -> dict[str, Any]:
    import msgspec

    from receiver.spectrum.tuning import band_text

    band = row.about or band_text(row.low_hz, row.high_hz)
    if len(row.channels_hz) > 1:
        band = ", ".join(band_text(hz, hz).removesuffix(" MHz") for hz in row.channels_hz) + " MHz"
    plain: dict[str, Any] = msgspec.to_builtins(row)
    return {"id": row.id, "band": band} | plain


def _readable_tuning(each: Tuning, rows: tuple[Allocation, ...]) -> dict[str, Any]:
    from receiver.spectrum.tuning import fitting

    return {
        "link": each.link,
        "antenna": each.antenna,
        "decoder": each.decoder,
        "band": each.band,
        "low_hz": each.low_hz,
        "high_hz": each.high_hz,
        "known_from": each.known_from,
        "allocations": [row.id for row in fitting(rows, each.low_hz, each.high_hz)],
    }
