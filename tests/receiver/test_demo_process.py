"""`stopover demo` as a new user starts it: tags soon, and a store that agrees with the truth."""

import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from station_process import STOPOVER, run_stopover

from protocols.checksums import crc8_smbus
from receiver.store.queries import DetectionFilter, Reader
from simulator.scenario import scenario
from simulator.truth import Reception, Transmission, TruthRow
from simulator.truth_file import read_truth

TAGS_WITHIN_S = 10.0
DURATION_S = 12.0
"""Nodes pass on what they heard every 5 s: two of their bursts."""

Heard: TypeAlias = tuple[str, str, float | None, str | None, float | None]
"""Tag, integrity, level, relay, level of the relay."""

GENERATION = {radio.name: radio.generation for radio in scenario("quiet-marsh").stations[0].radios}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Demo"]:
    """Run the demo once, in an empty folder."""
    folder = tmp_path_factory.mktemp("demo")
    yield Demo(folder)
    shutil.rmtree(folder)


class Demo:
    """What one run told and left behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first_tag_after_s: float | None = None
        arguments = ["demo", "--duration", f"{DURATION_S}", "--db", "demo.db", "--truth", "truth"]
        began = time.monotonic()
        with subprocess.Popen(
            [STOPOVER, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            assert running.stderr is not None
            assert running.stdout is not None
            log = []
            for line in running.stderr:
                log.append(line)
                if "tag heard first" in line and self.first_tag_after_s is None:
                    elapsed_s = time.monotonic() - began
                    self.first_tag_after_s = elapsed_s - _stood_in_line_s(running.pid)
            self.printed = running.stdout.read()
        self.log = "".join(log)
        self.status = running.returncode
        self.truth = read_truth(folder / "truth")


def _stood_in_line_s(pid: int) -> float:
    """Return how long a process waited while others had the processor: no fault of its own."""
    _, waited_ns, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="utf-8").split()
    return int(waited_ns) / 1e9


def test_tags_are_shown_within_ten_seconds(demo: Demo) -> None:
    assert demo.first_tag_after_s is not None
    assert demo.first_tag_after_s < TAGS_WITHIN_S
    assert demo.status == 0
    assert "6 tags are in the store" in demo.printed
    assert all(word not in demo.log for word in ("Traceback", "error", "link lost"))


def test_the_store_agrees_with_the_truth_row_by_row(demo: Demo) -> None:
    with Reader(demo.folder / "demo.db") as reader:
        stored: dict[str, list[Heard]] = defaultdict(list)
        for row in reader.detections(DetectionFilter()):
            assert row["antenna"] == row["link"]
            stored[row["link"]].append(
                (
                    row["tag_id"],
                    row["integrity"],
                    row["rssi_dbm"],
                    row["relay_id"],
                    row["relay_rssi_dbm"],
                )
            )
        counts = reader.counts()
    true = expected(demo.truth)
    assert sorted(stored) == ["nodes", "north", "south"]
    for link, heard in true.items():
        assert stored[link] == heard
    healths = [row for row in demo.truth if isinstance(row, Transmission)]
    told = {row.number for row in healths if row.what == "node-health"}
    assert counts["relay_health"] == sum(row.transmission in told for row in printed(demo.truth))
    assert counts["unknown_frames"] == counts["pulses"] == 0


def printed(truth: list[TruthRow]) -> list[Reception]:
    """Return the receptions whose line a port took."""
    return [row for row in truth if isinstance(row, Reception) and row.outcome == "printed"]


def expected(truth: list[TruthRow]) -> Mapping[str, list[Heard]]:
    """Return by link what the store must hold, in order."""
    sent = {row.number: row for row in truth if isinstance(row, Transmission)}
    at_node = {
        (row.transmission, row.receiver): row
        for row in truth
        if isinstance(row, Reception) and row.outcome == "buffered"
    }
    by_link: dict[str, list[Heard]] = defaultdict(list)
    for row in printed(truth):
        told = sent[row.transmission]
        heard: Heard
        if told.what == "beep":
            heard = (*tag_of(row.received, row.receiver), row.rssi_dbm, None, None)
        elif told.what == "relayed-beep":
            assert told.relays is not None
            node = at_node[told.relays, told.sender]
            heard = (
                *tag_of(node.received, row.receiver),
                node.rssi_dbm,
                told.sender,
                row.rssi_dbm,
            )
        else:
            continue
        by_link[row.receiver].append(heard)
    return by_link


def tag_of(received: str | None, radio: str) -> tuple[str, str]:
    """Return tag id and integrity of the five bytes that were taken from the air.

    Radios before G4 print no CRC; those after it only one that is right.
    """
    assert received is not None
    packet = bytes.fromhex(received)
    is_right = crc8_smbus(packet[:4]) == packet[4]
    is_told = GENERATION[radio] in ("G4", "G5")
    return packet[:4].hex().upper(), "verified" if is_told and is_right else "unverified"


def test_without_a_terminal_or_files_it_ends_by_itself_and_leaves_nothing(tmp_path: Path) -> None:
    result = run_stopover("demo", "--duration", "1.5", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "tags are in the store" in result.stdout
    assert list(tmp_path.iterdir()) == []
