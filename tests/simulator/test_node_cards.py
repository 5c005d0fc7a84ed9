"""V3 nodes hear two bands: both are on their cards, and both are relayed."""

import gzip
from collections import Counter
from pathlib import Path

from click.testing import CliRunner

from protocols.ctt.lines import CttLineDecoder
from protocols.records import Detection
from receiver.cli.importing import import_command
from receiver.scoring.score import score
from receiver.scoring.truth_rows import read_truth
from receiver.store.queries import DetectionFilter, Reader
from simulator.play import play_at_once
from simulator.positions import Position
from simulator.recorded_files import RecordedFiles
from simulator.scenario import Scenario
from simulator.stations import Node, Radio, Station
from simulator.tags import Tag
from simulator.truth import Reception, TruthRow
from simulator.truth_file import TruthFile
from simulator.world import Emission, World

HERE = Position(50.0, 8.0)
NODE = "A3796F5"
LIFE_TAG, BLU_TAG = "78664C33", "0A0B0C0D"


def marsh() -> Scenario:
    """Return a V3 node between a tag of each band, and a station that hears nodes alone."""
    return Scenario(
        name="test",
        shows="a test",
        stations=(
            Station(
                name="marsh",
                position=HERE.moved(300, 0),
                radios=(
                    Radio(name="r4", generation="G4", antenna="a4", channel="nodes"),
                    Radio(name="r5", generation="G5", antenna="a5", channel="nodes"),
                ),
            ),
        ),
        nodes=(Node(node_id=NODE, generation=3, position=HERE, has_card=True),),
        tags=(
            Tag(tag_id=LIFE_TAG, position=HERE.moved(50, 0), interval_s=5),
            Tag(tag_id=BLU_TAG, position=HERE.moved(0, 30), interval_s=7, kind="blu-tag"),
        ),
        duration_s=600,
    )


def test_cards_of_a_v3_node_are_imported_with_the_tags_of_both_bands(tmp_path: Path) -> None:
    world = World(marsh())
    rows: list[TruthRow] = []
    with (
        RecordedFiles(tmp_path / "cards", world) as recorded,
        TruthFile(tmp_path / "truth") as truth,
    ):

        def witness(row: TruthRow) -> None:
            rows.append(row)
            truth.write(row)
            recorded.witness(row)

        play_at_once(world, [recorded], witness)
    assert {path.relative_to(tmp_path / "cards").as_posix() for path in recorded.paths} == {
        f"{NODE}/434_mhz_beep_0.csv.gz",
        f"{NODE}/2p4_ghz_beep_0.csv.gz",
    }
    arguments = [str(tmp_path / "cards"), "--db", str(tmp_path / "s.db")]
    done = CliRunner().invoke(import_command, arguments)
    assert done.exit_code == 0, done.output
    with Reader(tmp_path / "s.db") as reader:
        heard = list(reader.detections(DetectionFilter()))
    buffered = sum(isinstance(row, Reception) and row.outcome == "buffered" for row in rows)
    assert len(heard) == recorded.records == buffered
    assert {(row["tag_id"], row["protocol"]) for row in heard} == {
        (LIFE_TAG, "ctt-434"),
        (BLU_TAG, "ctt-2g4"),
    }
    assert score(read_truth(tmp_path / "truth"), heard).false_by_cause == {}


def test_a_card_tells_of_a_blu_tag_what_its_beacon_held(tmp_path: Path) -> None:
    world = World(marsh())
    with RecordedFiles(tmp_path, world) as recorded:
        play_at_once(world, [recorded], recorded.witness)
    lines = gzip.decompress((tmp_path / NODE / "2p4_ghz_beep_0.csv.gz").read_bytes()).splitlines()
    assert lines[0] == b"time,tag_id,sync,family,payload_version,payload,rssi"
    _, tag_id, sync, family, version, payload, _ = lines[1].split(b",")
    assert (tag_id, family, version) == (BLU_TAG.encode(), b"0", b"0")
    # 2.188 V and 25.12 °C.
    assert payload == b"8C08D009"
    following = lines[2].split(b",")[2]
    assert int(following) == int(sync) + 1


def test_a_v3_node_relays_blu_tags_by_their_id() -> None:
    decoder = CttLineDecoder()
    heard = Counter[tuple[str, str, str]]()
    for happening in World(marsh()).happenings():
        if isinstance(happening, Emission):
            (record,) = decoder.decode(happening.wire.strip())
            if isinstance(record, Detection):
                assert record.relay is not None
                assert record.relay.relay_id == NODE
                heard[happening.radio.name, record.protocol, record.tag_id] += 1
    for radio in ("r4", "r5"):
        assert heard[radio, "ctt-434", LIFE_TAG] > 100
        assert heard[radio, "ctt-2g4", BLU_TAG] > 70
    assert len(heard) == 4
