"""Real recordings of two stations, burst for burst beside what find_tags finds in them."""

import csv
import gzip
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from protocols.coded_id import (
    AntennaDecoder,
    Burst,
    BurstSeen,
    CodeBook,
    Event,
    HeardPulse,
    IntervalMismatch,
    RunContinued,
    RunEnded,
    RunOpened,
    Tolerances,
    parse_csv,
)

RECORDINGS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
IMPORT = Tolerances(lateness_s=10.0)

needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the field recordings are not beside the project"
)


def pulses_by_port(folder: Path) -> dict[str, list[HeardPulse]]:
    ports: dict[str, list[HeardPulse]] = defaultdict(list)
    for file in sorted(folder.glob("*-all.txt.gz")):
        for line in gzip.decompress(file.read_bytes()).decode().splitlines():
            if line.startswith("p"):
                port, stamp, offset, signal, noise = line.split(",")[:5]
                seconds, _, fraction = stamp.partition(".")
                time_ns = int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
                ports[port[1:]].append(
                    HeardPulse(time_ns, float(offset) * 1000, float(signal), float(noise))
                )
    return ports


def events_by_port(folder: Path, tag_list: str) -> dict[str, list[Event]]:
    book = CodeBook(parse_csv(tag_list).tags, IMPORT)
    found: dict[str, list[Event]] = {}
    for port, pulses in pulses_by_port(folder).items():
        decoder = AntennaDecoder(book)
        found[port] = decoder.feed(pulses) + decoder.finish()
    return found


def bursts_of(events: list[Event]) -> list[Burst]:
    return [
        burst
        for event in events
        if isinstance(event, RunOpened | RunContinued)
        for burst in (event.bursts if isinstance(event, RunOpened) else (event.burst,))
    ]


def reference(folder: Path) -> set[tuple[str, int]]:
    rows = csv.DictReader((folder / "reference-hits.csv").read_text().splitlines())
    return {(row["port"], round(float(row["first_pulse_unix_s"]) * 10_000)) for row in rows}


@needs_recordings
@pytest.mark.parametrize(
    ("name", "bursts", "run_lengths", "incomplete"),
    [
        ("kingsburg-2017", 127, {"1": [62], "2": [65]}, 0),
        # Hours 0 to 2 in one, then 4, then 7; five bursts lost a pulse to another frequency.
        ("sensorgnome-2021", 712, {"3": [430, 144, 143]}, 5),
    ],
)
def test_a_recording_gives_the_reference_bursts_at_the_same_times(
    name: str, bursts: int, run_lengths: dict[str, list[int]], incomplete: int
) -> None:
    folder = RECORDINGS / name
    events = events_by_port(folder, (folder / "tags.csv").read_text())
    found = {
        (port, burst.time_ns // 100_000): burst.pulse_count
        for port, told in events.items()
        for burst in bursts_of(told)
    }
    wanted = reference(folder)
    assert len(wanted) == bursts
    assert wanted - set(found) == set()
    assert Counter(found[more] for more in set(found) - wanted) == Counter({3: incomplete})
    assert {
        port: [event.run_length for event in told if isinstance(event, RunEnded)]
        for port, told in events.items()
    } == run_lengths


@needs_recordings
def test_the_shipped_list_with_its_wrong_interval_is_told_as_such() -> None:
    folder = RECORDINGS / "sensorgnome-2021"
    shipped = (folder / "tags.csv").read_text().replace("25.0978", "19.995")
    (told,) = events_by_port(folder, shipped).values()
    assert bursts_of(told) == []
    mismatches = [event for event in told if isinstance(event, IntervalMismatch)]
    assert mismatches[0].listed_intervals_s == (19.995,)
    assert all(
        event.measured_interval_s == pytest.approx(25.0978, abs=0.001) for event in mismatches
    )


@needs_recordings
def test_a_run_keeps_bursts_that_scatter_more_than_an_open_search_allows() -> None:
    folder = RECORDINGS / "kingsburg-2017"
    narrow = Tolerances(frequency_range_hz=100.0)
    book = CodeBook(parse_csv((folder / "tags.csv").read_text()).tags, narrow)
    decoder = AntennaDecoder(book)
    events = decoder.feed(pulses_by_port(folder)["1"]) + decoder.finish()
    assert sum(isinstance(event, BurstSeen) for event in events) == 60
    assert Counter(burst.pulse_count for burst in bursts_of(events)) == {4: 62}
