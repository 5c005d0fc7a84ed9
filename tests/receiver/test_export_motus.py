"""The Motus export: files that SensorGnome's tools and Motus take, records unchanged."""

import gzip
import re
import time
from collections import Counter
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from click.testing import CliRunner
from export_season import (
    FIELD_FILES,
    HOUR_NS,
    MAY_NS,
    METADATA,
    NORTH,
    Season,
    export,
    imported,
    make_season,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.ctt.hex_records import build_record
from protocols.ctt.lines import decode_ctt_line
from protocols.ctt.packet import build_packet
from protocols.records import Detection, Integrity
from protocols.sensorgnome import parse_name
from receiver.arrivals import Arrival, ClockSample, Source, Stamp
from receiver.cli.simulate import simulate_command
from receiver.exports.motus_lines import tag_line
from receiver.exports.received_packet import received_packet
from receiver.store.database import Store
from receiver.store.queries import DetectionFilter, Reader

NAME = re.compile(r"^(.*)\/([^-]*-[^-]*-[0-9]+-([-0-9]+)(T[-0-9.]+)[P-Z]-([a-z]+).txt(.gz)?)$")
"""How SensorGnome's own software knows its files."""
MOTUS_SERIAL = re.compile(r"[0-9A-Z]{4}(RP[A-Z0-9]{2}|BBBK|BB[0-9][0-9A-Z])[0-9A-Z]{4}(_[0-9])?")


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    return make_season(tmp_path_factory.mktemp("season"))


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def lines_of(path: Path) -> list[str]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return content.decode().splitlines()


@pytest.mark.parametrize("folder", ["sensorgnome-2021", "kingsburg-2017"])
def test_field_files_come_back_under_their_names_with_every_line_as_it_was(
    folder: str, tmp_path: Path
) -> None:
    originals = {path.name: path for path in (FIELD_FILES / folder).glob("*.txt.gz")}
    if not originals:
        pytest.skip(f"the field recordings {folder} are not here")
    db = imported(tmp_path / "field.db", *originals.values())
    result = export("motus", db, tmp_path / "out")
    assert result.exit_code == 0, result.output
    written = files_in(tmp_path / "out")
    assert {path.name for path in written} == set(originals)
    for path in written:
        assert NAME.fullmatch(str(path))
        lines, original = lines_of(path), lines_of(originals[path.name])
        assert sorted(lines) == sorted(original)
        for kind in "TpGC":
            assert [each for each in lines if each[0] == kind] == [
                each for each in original if each[0] == kind
            ]


def test_tags_that_were_found_in_pulses_change_no_line_that_goes_back(tmp_path: Path) -> None:
    folder = FIELD_FILES / "kingsburg-2017"
    originals = sorted(folder.glob("*.txt.gz"))
    if not originals:
        pytest.skip("the field recordings kingsburg-2017 are not here")
    db = imported(tmp_path / "field.db", *originals, "--tags", folder / "tags.csv")
    said = export("motus", db, tmp_path / "out").output
    assert "left out: coded-id: no tag record of Motus holds them" in said
    for path in originals:
        assert sorted(lines_of(tmp_path / "out" / "2017-09-01" / path.name)) == sorted(
            lines_of(path)
        )


def test_a_simulated_stations_files_come_back_too(tmp_path: Path) -> None:
    args = ["quiet-marsh", "--files", str(tmp_path / "recorded"), "--duration", "3700"]
    assert CliRunner().invoke(simulate_command, args).exit_code == 0
    recorded = sorted((tmp_path / "recorded").rglob("*-ctt.txt.gz"))
    assert len(recorded) == 2
    db = imported(tmp_path / "station.db", *recorded)
    assert export("motus", db, tmp_path / "out").exit_code == 0
    got = {path.name: sorted(lines_of(path)) for path in files_in(tmp_path / "out")}
    assert got == {path.name: sorted(lines_of(path)) for path in recorded}


def test_what_a_station_heard_itself_is_cut_into_its_hours(season: Season, tmp_path: Path) -> None:
    result = export("motus", season.path, tmp_path, "--metadata", season.metadata)
    assert result.exit_code == 0, result.output
    written = files_in(tmp_path)
    tags: list[str] = []
    for path in written:
        match = NAME.fullmatch(str(path))
        named = parse_name(path.name)
        assert match
        assert named is not None
        assert MOTUS_SERIAL.fullmatch(named.serial)
        assert path.parent.name == path.name.split("-", 3)[3][:10]
        lines = lines_of(path)
        tags += [line for line in lines if line.startswith("T")]
        hour_s = named.started_ns // 10**9
        times = [float(line.split(",")[1]) for line in lines]
        assert all(hour_s <= time < hour_s + 3600 for time in times)
        assert times == sorted(times)
        assert {line[0] for line in lines} <= ({*"TGC"} if named.source == "ctt" else {*"pGC"})
    assert len(tags) == season.heard["direct"] + season.heard["clock not set"]
    assert "T1,1777608001.234,78664c33,-70" in tags
    assert "T4,1777608021.234,78664c3304,-71" in tags


def test_what_is_no_record_of_motus_is_counted_by_reason(season: Season, tmp_path: Path) -> None:
    said = export("motus", season.path, tmp_path, "--metadata", season.metadata).output
    assert f"{season.heard['relayed']} left out: heard by a node" in said
    for protocol in ("ctt-2g4", "coded-id", "lorawan"):
        assert f"1 left out: {protocol}" in said


def test_rows_whose_clock_was_never_set_go_to_files_of_code_p(
    season: Season, tmp_path: Path
) -> None:
    export("motus", season.path, tmp_path, "--metadata", season.metadata)
    codes: Counter[tuple[str, int]] = Counter()
    for path in files_in(tmp_path):
        named = parse_name(path.name)
        assert named is not None
        codes[named.clock_code, named.boot] += sum(line[0] == "T" for line in lines_of(path))
    assert codes == {("P", 1): 5, ("Z", 2): season.heard["direct"]}


def test_an_exported_season_can_be_imported_again(season: Season, tmp_path: Path) -> None:
    export("motus", season.path, tmp_path / "out", "--metadata", season.metadata)
    db = imported(tmp_path / "again.db", *files_in(tmp_path / "out"))
    with Reader(db) as again, Reader(season.path) as first:
        told = Counter(map(_what_motus_knows, again.detections(DetectionFilter())))
        own = Counter(
            _what_motus_knows(row)
            for row in first.detections(DetectionFilter())
            if row["protocol"] == "ctt-434" and row["relay_id"] is None
        )
    assert told == own


def _what_motus_knows(row: dict[str, object]) -> tuple[object, ...]:
    return str(row["time"])[:23], row["tag_id"], row["integrity"], row["rssi_dbm"]


def test_boots_are_counted_from_where_the_owner_says(season: Season, tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA.replace("[motus]", "[motus]\nfirst_boot = 999"))
    export("motus", season.path, tmp_path / "out", "--metadata", metadata)
    boots = {path.name.split("-")[2] for path in files_in(tmp_path / "out")}
    assert boots == {"999", "1000"}


def test_a_missing_serial_is_named_before_anything_is_written(
    season: Season, tmp_path: Path
) -> None:
    result = export("motus", season.path, tmp_path / "out")
    assert result.exit_code == 2
    assert "motus.serial" in result.output
    assert not (tmp_path / "out").exists()


def test_files_of_chosen_rows_are_not_called_whole(season: Season, tmp_path: Path) -> None:
    result = export(
        "motus", season.path, tmp_path, "--metadata", season.metadata, "--tag", "61337F34"
    )
    assert "not whole" in result.output
    written = files_in(tmp_path)
    assert written
    assert {path.suffix for path in written} == {".txt"}
    ids = Counter(line.split(",")[2][:8] for path in written for line in lines_of(path))
    assert ids.pop("61337f34") > 80
    assert set(ids) == {"69337f34"}  # As received, with the one bit wrong that was mended.


def test_an_hour_that_time_bounds_cut_is_not_called_whole(season: Season, tmp_path: Path) -> None:
    since = "2026-05-05T04:10Z"
    args = ("--metadata", season.metadata, "--since", since, "--until", "2026-05-07")
    export("motus", season.path, tmp_path, *args)
    assert [path.suffix for path in files_in(tmp_path)] == [".txt", ".gz"]


def test_the_hour_that_goes_on_is_not_called_whole(tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA)
    with Store.open(tmp_path / "live.db", station_id="marsh") as store:
        store.append(
            [Arrival(heard("78664C3304,-70"), NORTH, Stamp(time.time_ns(), "ntp", 5, "b"))]
        )
    export("motus", tmp_path / "live.db", tmp_path / "out", "--metadata", metadata)
    assert [path.suffix for path in files_in(tmp_path / "out")] == [".txt"]


def test_a_damaged_import_is_not_called_whole(tmp_path: Path) -> None:
    name = "marsh-7F5ERPI46977-3-2021-12-16T00-25-01.8450Z-ctt.txt.gz"
    line = b"T1,1639614305.%03d,78664c3304,-75\n"
    content = gzip.compress(b"".join(line % number for number in range(900)))
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    db = imported(tmp_path / "cut.db", tmp_path / name, damaged=True)
    export("motus", db, tmp_path / "out")
    (path,) = files_in(tmp_path / "out")
    assert path.name == name.removesuffix(".gz")
    assert len(lines_of(path)) > 100


def test_a_file_that_lost_rows_to_retention_is_not_called_whole(tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA)
    name = "marsh-7F5ERPI46977-3-2021-12-16T00-25-01.8450Z-ctt.txt"
    (tmp_path / name).write_text("".join(f"T1,163961430{n}.5,78664c3304,-75\n" for n in range(9)))
    db = imported(tmp_path / "old.db", tmp_path / name)
    with Store.open(db) as store:
        for hour in range(3):
            at_ns = MAY_NS + hour * HOUR_NS
            record = heard("78664C3304,-70")
            store.append(
                Arrival(record, NORTH, Stamp(at_ns + n * 10**9, "ntp", at_ns + n, "b"))
                for n in range(10)
            )
        with store.transaction():
            store.connection.execute("INSERT INTO rows_pruned VALUES ('detections', 4, 0)")
            store.connection.execute("DELETE FROM detections WHERE seq <= 4")
        written = _suffixes(db, metadata, tmp_path / "first")
        assert written == {"2021-12-16": ".txt", **dict.fromkeys(("00", "01", "02"), ".gz")}
        with store.transaction():
            store.connection.execute("DELETE FROM detections WHERE seq <= 15")
    written = _suffixes(db, metadata, tmp_path / "second")
    assert written == {"00": ".txt", "01": ".gz", "02": ".gz"}


def _suffixes(db: Path, metadata: Path, out: Path) -> dict[str, str]:
    export("motus", db, out, "--metadata", metadata)
    return {
        path.name.split("T")[1][:2] if "2026" in path.name else path.parent.name: path.suffix
        for path in files_in(out)
    }


def test_an_empty_store_gives_no_file_and_no_complaint(tmp_path: Path) -> None:
    Store.open(tmp_path / "empty.db", station_id="marsh").close()
    result = export("motus", tmp_path / "empty.db", tmp_path / "out")
    assert result.exit_code == 0
    assert "nothing to write" in result.output
    assert files_in(tmp_path / "out") == []


def test_times_that_were_corrected_later_are_good_ones(tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA)
    with Store.open(tmp_path / "late.db", station_id="marsh") as store:
        wrong_ns = 10**18
        store.append(
            [
                Arrival(
                    heard("78664C3304,-70"),
                    NORTH,
                    Stamp(wrong_ns, "unsynchronised", 7 * 10**9, "late"),
                )
            ]
        )
        with store.transaction():
            store.add_clock_sample(ClockSample("late", 9 * 10**9, MAY_NS, "ntp", "step"))
    export("motus", tmp_path / "late.db", tmp_path / "out", "--metadata", metadata)
    told = {parse_name(path.name): lines_of(path) for path in files_in(tmp_path / "out")}
    (tags,) = ([*lines] for name, lines in told.items() if any(each[0] == "T" for each in lines))
    assert f"T4,{MAY_NS // 10**9 - 2},78664c3304,-70" in tags
    assert {name.clock_code for name in told if name} == {"Z"}


def test_rows_that_go_back_over_the_hour_do_not_break_their_files(tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA)
    with Store.open(tmp_path / "edge.db", station_id="marsh") as store:
        arrivals = []
        for number in range(200):
            at_ns = MAY_NS + number % 40 * HOUR_NS + number * 10**6
            arrivals.append(
                Arrival(heard("78664C3304,-70"), NORTH, Stamp(at_ns, "ntp", number, "boot"))
            )
        store.append(arrivals)
    export("motus", tmp_path / "edge.db", tmp_path / "out", "--metadata", metadata)
    written = files_in(tmp_path / "out")
    assert len(written) == 40
    assert sum(len(lines_of(path)) for path in written) == 200


def heard(line: str) -> Detection:
    record = decode_ctt_line(line.encode())
    assert isinstance(record, Detection)
    return record


def test_a_packet_is_written_as_it_was_received() -> None:
    good = build_packet("78664C33")
    for line, want in (
        ("78664C33,-75", "78664c33"),
        ("78664C3304,-75", "78664c3304"),
        ("78664C3305,-75", "78664c3305"),  # A wrong checksum that no single bit explains.
        ("78674C3304,-75", "78674c3304"),  # One wrong bit, mended in `tag_id`.
    ):
        record = heard(line)
        packet = received_packet(record.tag_id, record.integrity, record.raw)
        assert packet is not None
        assert packet.hex() == want
    flipped = bytes([good[0] ^ 2]) + good[1:]
    assert received_packet("78664C33", "repaired", b"\x01\x02" + flipped + b"\x00") == flipped
    assert received_packet("78664C33", "failed", b"nothing of it") is None
    assert received_packet("78664C33", "repaired", b"nothing of it") is None
    assert received_packet("=cmd|' /C'!A0", "verified", b"") is None


def test_a_hex_record_with_a_wrong_bit_gives_it_back() -> None:
    record = build_record(1, {"tag_id": bytes.fromhex("78674C33"), "crc": 4, "rssi_dbm": -88})
    mended = heard(record.hex().upper())
    assert (mended.tag_id, mended.integrity) == ("78664C33", "repaired")
    packet = received_packet(mended.tag_id, mended.integrity, mended.raw)
    assert packet == bytes.fromhex("78674C3304")


@settings(max_examples=100)
@given(st.text(max_size=12), st.sampled_from(get_args(Integrity)), st.binary(max_size=60))
def test_no_row_breaks_the_search_for_its_packet(
    tag_id: str, integrity: Integrity, raw: bytes
) -> None:
    packet = received_packet(tag_id, integrity, raw)
    assert packet is None or len(packet) in (4, 5)


@pytest.mark.parametrize(
    ("time_ns", "want"),
    [
        (1_639_614_305_186_000_000, "T1,1639614305.186,78664c3304,-75"),
        (1_639_614_305_186_999_999, "T1,1639614305.186,78664c3304,-75"),
        (1_639_614_305_130_000_000, "T1,1639614305.13,78664c3304,-75"),
        (1_639_614_305_000_000_000, "T1,1639614305,78664c3304,-75"),
    ],
)
def test_times_have_at_most_three_decimals_and_no_zeros_at_the_end(time_ns: int, want: str) -> None:
    assert tag_line(1, time_ns, bytes.fromhex("78664C3304"), -75.0) == want


def test_ports_stay_while_the_store_grows(tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA)
    ports: list[dict[str, str]] = []
    with Store.open(tmp_path / "ports.db", station_id="marsh") as store:
        at_ns = MAY_NS
        for labels in (["zebra", "3", "north"], ["alpha", "12"]):
            for label in labels:
                at_ns += 10**9
                source = Source(link=f"link-{label}", decoder="ctt/1", antenna=label)
                record = msgspec.structs.replace(heard("78664C3304,-70"), rssi_dbm=-len(label))
                store.append([Arrival(record, source, Stamp(at_ns, "ntp", at_ns, "b"))])
            out = tmp_path / f"out-{len(ports)}"
            export("motus", tmp_path / "ports.db", out, "--metadata", metadata)
            lines = [line for path in files_in(out) for line in lines_of(path)]
            ports.append({line.split(",")[1]: line.split(",")[0] for line in lines})
    assert sorted(ports[0].values()) == ["T1", "T3", "T4"]
    assert ports[1].items() >= ports[0].items()
    assert sorted(ports[1].values()) == ["T1", "T12", "T2", "T3", "T4"]
