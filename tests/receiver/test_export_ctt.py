"""The CTT export: headers, line ends and cells as a CTT station writes them."""

import gzip
from collections import Counter
from pathlib import Path

import pytest
from export_season import (
    FIELD_FILES,
    MAY_NS,
    METADATA,
    NORTH,
    Season,
    empty_store,
    export,
    imported,
    make_season,
)

from protocols.ctt.files import parse_station_name
from protocols.records import Detection, Relay, RelayHealth
from receiver.arrivals import Arrival, Source, Stamp
from receiver.store.database import Store
from receiver.store.queries import DetectionFilter, Reader

RAW_DATA = b"Time,RadioId,TagId,TagRSSI,NodeId,Validated\r\n"
NODE_HEALTH = (
    b"Time,RadioId,NodeId,NodeRSSI,Battery,Celsius,RecordedAt,Firmware,SolarVolts,SolarCurrent,"
    b"CumulativeSolarCurrent,Latitude,Longitude,UpTime,AverageChargerCurrentMa,EnergyUsed,SdFree,"
    b"Detections,Errors\r\n"
)
GPS = b"recorded at,gps at,latitude,longitude,altitude,quality,mean lat,mean lng,n fixes\r\n"


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    return make_season(tmp_path_factory.mktemp("season"))


def contents(folder: Path, suffix: str) -> list[bytes]:
    paths = sorted(folder.glob(f"CTT-*-{suffix}.*.csv.gz"))
    assert all(parse_station_name(path.name) for path in paths)
    return [gzip.decompress(path.read_bytes()) for path in paths]


def lines_of(folder: Path, suffix: str) -> list[bytes]:
    return [line for each in contents(folder, suffix) for line in each.split(b"\r\n")[1:-1]]


def test_files_have_ctts_headers_line_ends_and_no_quotes(season: Season, tmp_path: Path) -> None:
    result = export("ctt", season.path, tmp_path, "--metadata", season.metadata)
    assert result.exit_code == 0, result.output
    for suffix, header in (("raw-data", RAW_DATA), ("node-health", NODE_HEALTH), ("gps", GPS)):
        files = contents(tmp_path, suffix)
        assert files
        for content in files:
            assert content.startswith(header)
            assert content.endswith(b"\r\n")
            assert content.count(b"\n") == content.count(b"\r\n")
            assert b'"' not in content
            cells = header.count(b",")
            assert {line.count(b",") for line in content.split(b"\r\n")[:-1]} == {cells}


def test_rows_are_as_a_station_writes_them(season: Season, tmp_path: Path) -> None:
    export("ctt", season.path, tmp_path, "--metadata", season.metadata)
    beeps = lines_of(tmp_path, "raw-data")
    assert len(beeps) == season.heard.total() - season.heard["other protocols"]
    assert b"2026-05-01 04:00:01,1,78664C33,-70,,0" in beeps  # No CRC: not validated.
    assert b"2026-05-01 04:00:21,4,78664C33,-71,,1" in beeps
    assert b"2026-05-01 04:02:56,2,78664C33,-79,3796F5,1" in beeps  # By the node's clock.
    assert b"2026-05-01 04:01:41,1,706" not in b"".join(beeps)
    (health,) = lines_of(tmp_path, "node-health")
    assert health.endswith(b",2,3796F5,-61,3.98,21,,2.0_1,,,,53.26,5.23,,,,,,")
    (fix,) = lines_of(tmp_path, "gps")
    assert fix.endswith(b",,53.2530001,5.221,3.5,3,,,")


def test_a_mended_id_is_written_as_received_and_not_validated(
    season: Season, tmp_path: Path
) -> None:
    export("ctt", season.path, tmp_path, "--metadata", season.metadata)
    mended = [line for line in lines_of(tmp_path, "raw-data") if b",70664C33," in line]
    assert mended
    assert {line[-2:] for line in mended} == {b",0"}


def test_an_export_imported_again_gives_the_same_beeps(season: Season, tmp_path: Path) -> None:
    export("ctt", season.path, tmp_path / "out", "--metadata", season.metadata)
    db = imported(tmp_path / "again.db", *(tmp_path / "out").iterdir())
    with Reader(db) as again, Reader(season.path) as first:
        assert again.station_id == "V30300000001"
        counts = again.counts()
        told = Counter(map(_what_ctt_knows, again.detections(DetectionFilter())))
        own = Counter(
            _what_ctt_knows(row)
            for row in first.detections(DetectionFilter())
            if row["protocol"] == "ctt-434" and row["integrity"] in ("verified", "unverified")
        )
    assert own <= told
    assert (counts["relay_health"], counts["gps_fixes"]) == (1, 1)


def _what_ctt_knows(row: dict[str, object]) -> tuple[object, ...]:
    time = row["recorded_at"] or row["time"]
    return str(time)[:19], row["tag_id"], row["integrity"], row["rssi_dbm"], row["relay_id"]


def test_a_relays_impossible_clock_is_not_believed(tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA)
    with Store.open(tmp_path / "node.db", station_id="marsh") as store:
        heard = Detection(
            protocol="ctt-434",
            tag_id="78664C33",
            integrity="verified",
            relay=Relay(relay_id="3796F5", recorded_at_unix_s=1_483_232_463.0),
        )
        store.append([Arrival(heard, NORTH, Stamp(MAY_NS, "ntp", 5, "b"))])
    export("ctt", tmp_path / "node.db", tmp_path / "out", "--metadata", metadata)
    assert lines_of(tmp_path / "out", "raw-data") == [b"2026-05-01 00:00:00,4,78664C33,,3796F5,1"]


def test_texts_from_the_air_cannot_add_cells_or_rows(tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA)
    with Store.open(tmp_path / "bad.db", station_id="marsh") as store:
        node = RelayHealth(relay_id='A",\r\n=1', firmware="1,2\n3", battery_v=4.0)
        source = Source(link="ch,1\r\n", decoder="ctt/1", antenna="=cmd,\n")
        store.append([Arrival(node, source, Stamp(MAY_NS, "ntp", 5, "b"))])
    export("ctt", tmp_path / "bad.db", tmp_path / "out", "--metadata", metadata)
    (content,) = contents(tmp_path / "out", "node-health")
    rows = content.split(b"\r\n")
    assert len(rows) == 3
    assert rows[1] == b"2026-05-01 00:00:00,1,A_____1,,4,,,1_2_3,,,,,,,,,,,"


def test_the_station_id_comes_from_imported_files_or_is_asked_for(tmp_path: Path) -> None:
    name = "CTT-V3033D413FBC-raw-data.2021-10-27_000000.csv"
    rows = [b"2021-10-26 18:29:52,1,52345578,-91,,1", b"2021-10-26 18:29:53,2,61337F34,-80,3A,"]
    (tmp_path / name).write_bytes(RAW_DATA + b"".join(row + b"\r\n" for row in rows))
    db = imported(tmp_path / "ctt.db", tmp_path / name)
    assert export("ctt", db, tmp_path / "out").exit_code == 0
    assert lines_of(tmp_path / "out", "raw-data") == [rows[0], rows[1] + b"0"]
    assert next((tmp_path / "out").iterdir()).name.startswith("CTT-V3033D413FBC-raw-data.")
    refused = export("ctt", empty_store(tmp_path), tmp_path / "none")
    assert refused.exit_code == 2
    assert "ctt.station_id" in refused.output


def test_an_empty_store_gives_no_file(tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA)
    result = export("ctt", empty_store(tmp_path), tmp_path / "out", "--metadata", metadata)
    assert result.exit_code == 0
    assert list((tmp_path / "out").iterdir()) == []


def test_field_files_give_a_row_a_beep(tmp_path: Path) -> None:
    files = sorted((FIELD_FILES / "sensorgnome-2021").glob("*-ctt.txt.gz"))
    if not files:
        pytest.skip("the field recordings sensorgnome-2021 are not here")
    db = imported(tmp_path / "field.db", *files)
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA)
    assert export("ctt", db, tmp_path / "out", "--metadata", metadata).exit_code == 0
    beeps = lines_of(tmp_path / "out", "raw-data")
    assert beeps[0] == b"2021-12-16 00:25:05,1,78664C33,-75,,1"
    assert Counter(line[-1:] for line in beeps) == {b"1": 2807}
