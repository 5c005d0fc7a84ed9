"""`stopover score`: what is in the store beside what was really sent."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from click.testing import CliRunner, Result

from protocols.coded_id.bursts import HeardPulse
from protocols.coded_id.code_book import CodeBook
from protocols.coded_id.decoder import AntennaDecoder
from protocols.coded_id.events import BurstSeen
from protocols.coded_id.tag_list import CodedTag
from protocols.records import Pulse
from protocols.sensorgnome import SensorGnomeReader
from receiver.cli.importing import import_command
from receiver.cli.score import score_command
from receiver.cli.simulate import simulate_command
from receiver.scoring.score import score
from receiver.scoring.truth_rows import read_truth
from simulator.scenario import scenario
from simulator.truth import Receiver, Reception, Transmission
from simulator.truth_file import read_truth as read_whole_truth


def run(command: object, *arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(each) for each in arguments])  # type: ignore[arg-type]  # A click command.


def recorded(folder: Path, scenario: str, *options: str) -> tuple[Path, Path]:
    """Simulate, import; return (truth, store)."""
    truth, db = folder / "truth.jsonl", folder / "s.db"
    done = run(simulate_command, scenario, "--files", folder / "sg", "--truth", truth, *options)
    assert done.exit_code == 0, done.output
    done = run(import_command, folder / "sg", "--db", db)
    assert done.exit_code == 0, done.output
    return truth, db


def scored(truth: Path, db: Path) -> dict[str, object]:
    done = run(score_command, "--truth", truth, "--db", db, "--format", "json")
    assert done.exit_code == 0, done.output
    told: dict[str, object] = json.loads(done.output)
    return told


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_night_of_migration_is_kept_whole(tmp_path: Path, seed: str) -> None:
    truth, db = recorded(tmp_path, "night-migration", "--duration", "7200", "--seed", seed)
    told = scored(truth, db)
    total = told["total"]
    assert isinstance(total, dict)
    assert total["could_be_heard"] > 1000
    assert total["kept"] == 1.0
    assert sum(total["losses"].values()) + total["in_store"] == total["could_be_heard"]
    assert total["time_error"]["p99_ms"] < 5
    assert "not-in-store" not in total["losses"]
    assert "unexplained" not in told["false_by_cause"]  # type: ignore[operator]  # A mapping.
    assert told["never_sent_believed"] == 0


def test_ids_that_noise_made_are_false_and_counted(tmp_path: Path) -> None:
    truth, db = recorded(tmp_path, "noisy-city", "--duration", "900")
    told = scored(truth, db)
    causes = told["false_by_cause"]
    assert isinstance(causes, dict)
    assert causes["noise"] > 100
    assert causes["wrong-id"] > 10


def test_better_ears_than_the_radios_are_right_where_those_lost_a_tag(tmp_path: Path) -> None:
    """A store of all that was on the air, whatever the radio made of it, and one row too many."""
    truth, _ = recorded(tmp_path, "colony", "--duration", "60")
    rows = [msgspec.json.decode(line) for line in truth.read_bytes().splitlines()]
    sent = {row["number"]: row for row in rows if row["kind"] == "transmission"}
    heard = [
        (row["stamped_unix_s"], sent[row["transmission"]]["sender"], row["outcome"])
        for row in rows
        if row["kind"] == "reception"
        and row["receiver"] == "r1"
        and row["outcome"] != "off"
        and sent[row["transmission"]]["what"] == "beep"
        and sent[row["transmission"]]["sender_kind"] == "tag"
    ]
    heard.append(heard[len(heard) // 2])

    def detection(unix_s: float, tag_id: str) -> dict[str, object]:
        moment = datetime.fromtimestamp(unix_s, UTC).isoformat()
        place = {"link": "r1", "antenna": "north", "relay_id": None}
        return {**place, "tag_id": tag_id, "time": moment}

    told = score(read_truth(truth), [detection(*each[:2]) for each in heard])
    r1 = next(each for each in told.antennas if each.name == "islet r1")
    assert (r1.efficiency, r1.kept, r1.losses) == (1.0, 1.0, {})
    assert r1.heard_better > 50
    assert r1.false_detections == 1
    lost = next(each for each in heard if each[2] == "busy")
    late = score(read_truth(truth), [detection(lost[0] + 1, lost[1])])
    assert late.total.false_detections == 1


def test_a_wrong_clock_is_no_time_error_of_the_software(tmp_path: Path) -> None:
    truth, db = recorded(tmp_path, "power-cut")
    told = scored(truth, db)
    total = told["total"]
    antennas = told["antennas"]
    assert isinstance(total, dict)
    assert isinstance(antennas, list)
    assert total["losses"]["off"] > 500
    assert total["kept"] == 1.0
    by_name = {each["name"]: each for each in antennas}
    assert by_name["spare roof"]["time_error"]["detections"] == 0
    assert by_name["hut north"]["time_error"]["p99_ms"] < 5


def test_nodes_cards_and_pulses_are_recorded_too(tmp_path: Path) -> None:
    truth, db = recorded(tmp_path, "colony", "--duration", "300")
    names = {path.name.rsplit("-", 1)[-1] for path in (tmp_path / "sg").iterdir()}
    assert names == {"ctt.txt.gz", "all.txt.gz", "37A0C4"}
    causes = scored(truth, db)["false_by_cause"]
    assert isinstance(causes, dict)
    assert "unexplained" not in causes


def test_a_store_that_lost_rows_is_told_so(tmp_path: Path) -> None:
    truth, _ = recorded(tmp_path, "power-cut", "--duration", "1200")
    other = tmp_path / "half.db"
    half = sorted((tmp_path / "sg").iterdir())[:1]
    run(import_command, *half, "--db", other)
    total = scored(truth, other)["total"]
    assert isinstance(total, dict)
    assert 0.1 < total["kept"] < 0.9
    assert total["losses"]["not-in-store"] > 100


def test_table_and_picture_show_every_antenna(tmp_path: Path) -> None:
    truth, db = recorded(tmp_path, "walk-test", "--duration", "900")
    plot = tmp_path / "score.svg"
    done = run(score_command, "--truth", truth, "--db", db, "--plot", plot)
    assert done.exit_code == 0, done.output
    for antenna in ("tower north", "tower east", "tower south", "tower west"):
        assert antenna in done.output
    drawn = ET.fromstring(plot.read_text())  # noqa: S314  Our own file.
    told = " ".join(each.text or "" for each in drawn.iter() if each.text)
    assert "tower north" in told
    assert "too-weak" in told


def test_what_scoring_reads_is_what_the_simulator_writes(tmp_path: Path) -> None:
    truth, _ = recorded(tmp_path, "quiet-marsh", "--duration", "120")
    ours, whole = read_truth(truth), read_whole_truth(truth)
    assert len(ours.sent) == sum(isinstance(row, Transmission) for row in whole)
    assert len(ours.receivers) == sum(isinstance(row, Receiver) for row in whole)
    assert ours.senders() == {
        "78664C33",
        "6161527F",
        "344C2A55",
        "1E4C3433",
        "2D2D2D33",
        "61337F34",
    }


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (b"", None),
        (b"not json\n", "t.jsonl, line 1: no row of a truth file"),
        (b'{"kind":"reception"}\n', "t.jsonl, line 1: no row of a truth file"),
    ],
)
def test_a_broken_truth_is_told_in_a_line(tmp_path: Path, lines: bytes, said: str | None) -> None:
    _, db = recorded(tmp_path, "quiet-marsh", "--duration", "30")
    truth = tmp_path / "t.jsonl"
    truth.write_bytes(lines)
    done = run(score_command, "--truth", truth, "--db", db, "--format", "json")
    if said is None:
        assert msgspec.json.decode(done.output)["transmissions"] == 0
    else:
        assert done.exit_code == 1
        assert said in done.output


def test_coded_bursts_of_our_files_are_found_by_the_coded_id_decoder(tmp_path: Path) -> None:
    run(
        simulate_command,
        "colony",
        "--files",
        tmp_path,
        "--truth",
        tmp_path / "t",
        "--duration",
        "900",
    )
    tags = [tag for tag in scenario("colony").tags if tag.gaps_ms is not None]
    book = CodeBook(
        CodedTag(
            project=tag.tag_id.split("#")[0],
            id=tag.tag_id.split("#")[1],
            frequency_mhz=166.38,
            gaps_ms=tag.gaps_ms or (0, 0, 0),
            burst_interval_s=tag.interval_s,
        )
        for tag in tags
    )
    decoder, reader = AntennaDecoder(book), SensorGnomeReader()
    (file,) = tmp_path.glob("*-all.txt.gz")
    pulses = []
    for line in gzip.decompress(file.read_bytes()).splitlines():
        reading = reader.read(line)
        assert isinstance(reading.record, Pulse)
        pulses.append(HeardPulse.of(reading.utc_ns or 0, reading.record))
    events = [*decoder.feed(pulses), *decoder.finish()]
    found = sum(isinstance(event, BurstSeen) for event in events)
    whole = sum(
        isinstance(row, Reception) and row.pulses == 4 for row in read_whole_truth(tmp_path / "t")
    )
    assert whole > 100
    assert 0.98 * whole <= found <= 1.02 * whole
