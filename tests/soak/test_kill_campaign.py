"""A thousand kills of a running station: what is lost was heard within `commit_interval` before.

Four stations at a time hear simulated radios over pseudo-terminals. Each is killed at a random
moment, while it starts or while it hears, and started again at once on the same store. At the end
every line that a radio printed and a port took is looked for in the store.
"""

import asyncio
import bisect
import contextlib
import os
import random
import sys
import time
from asyncio.subprocess import Process
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from campaign_reports import write_report
from store_traffic import is_sound

from receiver.store.queries import Reader
from simulator.play import play
from simulator.scenario import Scenario, saturation
from simulator.serial_station import SerialStation, serial_station
from simulator.tags import Tag
from simulator.truth import Reception, TruthRow
from simulator.world import Emission, World

KILLS = int(os.environ.get("STOPOVER_KILLS", "1000"))
STATIONS = 4
COMMIT_INTERVAL_S = 1.0
"""An eighth of it is for writing and syncing: a disk that takes 125 ms for it keeps the promise."""
KILLED_WHILE_STARTING = 0.15
LATEST_STAMP_S = 1.0
"""A line is read this long after it was printed at the most, on a machine that has much to do. No
tag is heard twice by one radio within that time, so a line is known by tag, radio and time."""

TAGS = 150
TAG_INTERVAL_S = 2.5


class Printed(msgspec.Struct, frozen=True):
    """A line that a port took."""

    at_unix_s: float
    antenna: str
    tag_id: str


class PrintedLines:
    """An outlet and the truth's witness in one: when each line was really printed."""

    def __init__(self, station: SerialStation) -> None:
        self.lines: list[Printed] = []
        self._station = station
        self._antennas = {port.name: port.antenna for port in station.ports()}
        self._at_unix_s = 0.0

    def send(self, emission: Emission) -> bool:
        """Print a line, and look at the clock."""
        self._at_unix_s = time.time()
        return self._station.send(emission)

    def witness(self, row: TruthRow) -> None:
        """Keep what the simulator says was printed."""
        if isinstance(row, Reception) and row.outcome == "printed" and row.received is not None:
            antenna = self._antennas[row.receiver]
            self.lines.append(Printed(self._at_unix_s, antenna, row.received[:8].upper()))


class Campaign(msgspec.Struct):
    """One station's part of it."""

    kills: list[tuple[float, float]] = []
    """When each was sent, and when the process was gone, in seconds since 1970."""
    lines_printed: int = 0
    rows_kept: int = 0
    rows_lost: int = 0
    """Printed, not kept, and no longer before a kill than `commit_interval`."""
    rows_lost_outside: int = 0
    worst_window_s: float = 0.0
    rows_not_printed: int = 0
    """In the store, yet no radio printed them, or only once."""


def scenario(seed: int) -> Scenario:
    place = saturation(radios=2)
    tags = tuple(
        Tag(
            tag_id=place_id,
            position=place.tags[0].position,
            interval_s=TAG_INTERVAL_S,
            jitter_s=0,
            first_beep_s=number * TAG_INTERVAL_S / TAGS,
        )
        for number, place_id in enumerate(tag_ids())
    )
    return msgspec.structs.replace(place, tags=tags, seed=seed, duration_s=1e6)


def tag_ids() -> list[str]:
    """Return ids of which every byte is a word of the dictionary."""
    words = ("07", "19", "1E", "2A", "2D", "33", "34")
    ids = [f"{a}{b}{c}{d}" for a in words for b in words for c in words for d in words]
    return ids[:: len(ids) // TAGS][:TAGS]


def configuration(folder: Path, station: SerialStation) -> Path:
    links = "".join(
        f'[[links]]\nkind = "serial"\nname = "{port.name}"\ndevice = "{port.device}"\n'
        f'antenna = "{port.antenna}"\npreset = "{port.preset}"\n'
        for port in station.ports()
    )
    path = folder / "stopover.toml"
    path.write_text(
        f'[store]\npath = "{folder / "a.db"}"\ncommit_interval = {COMMIT_INTERVAL_S}\n{links}',
        encoding="utf-8",
    )
    return path


async def kill_once(
    config: Path, station: SerialStation, dice: random.Random
) -> tuple[float, float]:
    """Start a station, let it hear for a while, kill it; return when, and when it was gone."""
    program = "from receiver.cli.main import main; main()"
    errors = config.with_name("errors")
    with errors.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, "run", "-c", str(config)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=file,
        )
    try:
        if dice.random() < KILLED_WHILE_STARTING:
            await asyncio.sleep(dice.uniform(0, 0.5))
        else:
            await heard_by(process, station, errors)
            await asyncio.sleep(dice.uniform(0, 2 * COMMIT_INTERVAL_S))
        assert process.returncode is None, ended(process, errors)
    finally:
        # Also where the campaign fails: a station that is left over would take others' ports.
        killed_at_unix_s = time.time()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return killed_at_unix_s, time.time()


def ended(process: Process, errors: Path) -> str:
    """Return what a station said that ended by itself, nothing where it runs."""
    return "" if process.returncode is None else errors.read_text(encoding="utf-8")


async def heard_by(process: Process, station: SerialStation, errors: Path) -> None:
    """Wait until the station has all its ports open."""
    async with asyncio.timeout(30):
        while not all(radio.is_open for radio in station.radios.values()):
            assert process.returncode is None, ended(process, errors)
            await asyncio.sleep(0.005)


async def campaign(folder: Path, kills: int, seed: int) -> Campaign:
    dice = random.Random(seed)
    world = World(msgspec.structs.replace(scenario(seed), start_unix_s=time.time()))
    found = Campaign()
    with serial_station(world) as station:
        printed = PrintedLines(station)
        playing = asyncio.create_task(play(world, [printed], printed.witness))
        config = configuration(folder, station)
        for _ in range(kills):
            assert not playing.done(), "the world has come to its end"
            found.kills.append(await kill_once(config, station, dice))
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
    await asyncio.to_thread(settle, folder / "a.db", printed.lines, found)
    return found


def settle(store: Path, lines: list[Printed], found: Campaign) -> None:
    """Look for every printed line in the store, which is the one that was begun with."""
    assert is_sound(store)
    assert not list(store.parent.glob("a.db.*damaged*"))
    stamps: Mapping[tuple[str, str], list[float]] = stamps_in(store)
    used: dict[tuple[str, str], set[int]] = defaultdict(set)
    gone = [gone_at_unix_s for _, gone_at_unix_s in found.kills]
    for line in lines:
        key = (line.antenna, line.tag_id)
        place = bisect.bisect_left(stamps.get(key, []), line.at_unix_s - 0.001)
        if (
            place < len(stamps.get(key, []))
            and stamps[key][place] < line.at_unix_s + LATEST_STAMP_S
        ):
            used[key].add(place)
            continue
        next_kill = bisect.bisect_left(gone, line.at_unix_s)
        if next_kill == len(gone):
            continue  # after the last kill: nobody was there to hear it
        window_s = found.kills[next_kill][0] - line.at_unix_s
        found.worst_window_s = max(found.worst_window_s, window_s)
        if window_s <= COMMIT_INTERVAL_S:
            found.rows_lost += 1
        else:
            found.rows_lost_outside += 1
    found.lines_printed = len(lines)
    found.rows_kept = sum(map(len, stamps.values()))
    found.rows_not_printed = found.rows_kept - sum(map(len, used.values()))


def stamps_in(store: Path) -> Mapping[tuple[str, str], list[float]]:
    """Return the stamps of each antenna's detections of each tag, in seconds since 1970."""
    stamps: dict[tuple[str, str], list[float]] = defaultdict(list)
    with Reader(store) as reader:
        for row in reader.connection.execute(
            "SELECT antenna, tag_id, time_stamped_ns FROM readable_detections ORDER BY 3"
        ):
            stamps[row["antenna"], row["tag_id"]].append(row["time_stamped_ns"] / 1e9)
    return stamps


@pytest.mark.soak
async def test_what_a_kill_takes_was_heard_within_the_commit_interval(tmp_path: Path) -> None:
    begun = time.monotonic()
    folders = [tmp_path / f"{seed}" for seed in range(STATIONS)]
    for folder in folders:
        folder.mkdir()
    parts = await asyncio.gather(
        *(campaign(folder, KILLS // STATIONS, seed) for seed, folder in enumerate(folders))
    )
    found = {
        "kills": sum(len(part.kills) for part in parts),
        "lines_printed": sum(part.lines_printed for part in parts),
        "rows_kept": sum(part.rows_kept for part in parts),
        "rows_lost_within_the_commit_interval": sum(part.rows_lost for part in parts),
        "rows_lost_outside_the_commit_interval": sum(part.rows_lost_outside for part in parts),
        "rows_that_no_radio_printed": sum(part.rows_not_printed for part in parts),
        "commit_interval_s": COMMIT_INTERVAL_S,
        "worst_window_s": round(max(part.worst_window_s for part in parts), 4),
        "duration_s": round(time.monotonic() - begun),
    }
    write_report("kill-campaign", found)
    assert found["rows_kept"], "nothing was heard at all"
    assert found["rows_lost_outside_the_commit_interval"] == 0, found
    assert found["rows_that_no_radio_printed"] == 0, found
