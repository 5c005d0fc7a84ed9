"""The store keeps what it was given, all of a batch or nothing, and says what is wrong with it."""

import sqlite3
import uuid
from pathlib import Path

import pytest

from protocols.records import (
    ClockEvent,
    CommandReply,
    Detection,
    GpsFix,
    Ignored,
    LogLine,
    Pulse,
    RadioError,
    RadioInfo,
    Record,
    Relay,
    RelayHealth,
    Setting,
    StationHealth,
    Unknown,
)
from receiver.arrivals import ActivityRow, Arrival, ClockSample, Source, Stamp
from receiver.limits import MAX_RAW_BYTES
from receiver.store import damage, database
from receiver.store.activity_queries import hours_listened
from receiver.store.database import Store
from receiver.store.errors import (
    StoreDamagedError,
    StoreError,
    StoreMissingError,
    StoreNewerError,
)
from receiver.store.queries import DetectionFilter, Reader
from receiver.utc_text import iso_utc

SOURCE = Source(link="ch1", decoder="ctt/1", antenna="north")
AT_NS = 1_767_225_600_123_456_789  # 2026-01-01T00:00:00.123456789Z


def stamp(offset_s: float = 0, clock: str = "ntp") -> Stamp:
    nanoseconds = round(offset_s * 1e9)
    return Stamp(AT_NS + nanoseconds, clock, 5_000_000_000 + nanoseconds, "boot-a")  # type: ignore[arg-type]


def detection(tag_id: str = "78664C33", **fields: object) -> Detection:
    given: dict[str, object] = {
        "protocol": "ctt-434",
        "tag_id": tag_id,
        "integrity": "verified",
        "id_legal": True,
        "rssi_dbm": -75,
        "raw": b"78664c3304,-75",
    }
    return Detection(**(given | fields))  # type: ignore[arg-type]


def rows(path: Path) -> list[dict[str, object]]:
    with Reader(path) as reader:
        return list(reader.detections(DetectionFilter()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "marsh.db"


def test_a_detection_comes_back_with_every_field_it_went_in_with(path: Path) -> None:
    relay = Relay(
        relay_id="3796F5",
        relay_rssi_dbm=-61,
        recorded_at_unix_s=1_767_225_599.0,
        collection=(17, 3, 0),
    )
    whole = detection(
        snr_db=12.5,
        noise_dbm=-101,
        frequency_offset_hz=-120,
        relay=relay,
        measurements={"battery_v": 3.9, "sync": 4711},
        payload=b"\x01\x02",
    )
    with Store.open(path, station_id="marsh") as store:
        store.append([Arrival(whole, SOURCE, stamp())])
        store_uuid = store.store_uuid
    assert uuid.UUID(store_uuid).version == 4
    assert rows(path) == [
        {
            "seq": 1,
            "time": "2026-01-01T00:00:00.123456Z",
            "time_quality": "ntp",
            "time_stamped": "2026-01-01T00:00:00.123456Z",
            "station": "marsh",
            "link": "ch1",
            "antenna": "north",
            "protocol": "ctt-434",
            "tag_id": "78664C33",
            "integrity": "verified",
            "id_legal": True,
            "rssi_dbm": -75,
            "snr_db": 12.5,
            "noise_dbm": -101,
            "frequency_offset_hz": -120,
            "relay_id": "3796F5",
            "relay_rssi_dbm": -61,
            "recorded_at": "2025-12-31T23:59:59.000000Z",
            "recorded_at_quality": "relay",
            "collection": "17,3,0",
            "latitude": None,
            "longitude": None,
            "position_error_m": None,
            "run": None,
            "confidence": "likely",
            "confidence_reason": "not-sorted-yet",
            "decoder": "ctt/1",
            "measurements": {"battery_v": 3.9, "sync": 4711},
            "payload": "0102",
            "raw": b"78664c3304,-75".hex(),
        }
    ]


def test_what_a_packet_did_not_tell_is_null(path: Path) -> None:
    bare = Detection(protocol="ctt-434", tag_id="78664C33", integrity="unverified")
    with Store.open(path) as store:
        store.append([Arrival(bare, Source(link="ch1", decoder="ctt/1"), stamp())])
    (row,) = rows(path)
    for key in ("antenna", "id_legal", "rssi_dbm", "snr_db", "relay_id", "recorded_at", "raw"):
        assert row[key] is None
    assert row["measurements"] == {}


@pytest.mark.parametrize(
    ("record", "table"),
    [
        (Pulse(frequency_offset_hz=2637, signal_db=-38.87, noise_db=-53.6, raw=b"p3"), "pulses"),
        (GpsFix(latitude=44.3, longitude=-66.1, altitude_m=21.6, gps_unix_s=1.5e9), "gps_fixes"),
        (GpsFix(gps_unix_s=1e300), "gps_fixes"),
        (RelayHealth(relay_id="377", battery_v=3.98, measurements={"errors": 2}), "relay_health"),
        (RadioInfo(firmware="4.0.0", raw=b"{}"), "events"),
        (RadioError(message="Radio Init Failed"), "events"),
        (CommandReply(command="preset", ok=True), "events"),
        (ClockEvent(precision_digits=2), "events"),
        (Setting(name="frequency", value="166.376", antenna="3"), "events"),
        (StationHealth(measurements={"battery_v": 12.1}), "events"),
        (LogLine(message="hello"), "events"),
        (Unknown(reason="crc", raw=b"\x00\xff"), "unknown_frames"),
    ],
)
def test_every_kind_of_record_has_a_place(path: Path, record: Record, table: str) -> None:
    with Store.open(path) as store:
        store.append([Arrival(record, SOURCE, stamp())])
    with Reader(path) as reader:
        counts = reader.counts()
        view = reader.connection.execute(f"SELECT * FROM readable_{table}").fetchone()
    assert {name: count for name, count in counts.items() if count} == {table: 1}
    assert (view["link"], view["time_quality"]) == ("ch1", "ntp")


def test_a_frame_that_says_nothing_is_not_a_row(path: Path) -> None:
    with Store.open(path) as store:
        store.append([Arrival(Ignored(reason="empty"), SOURCE, stamp())])
    with Reader(path) as reader:
        assert sum(reader.counts().values()) == 0


def test_the_radios_own_ticks_refine_the_stamp(path: Path) -> None:
    with Store.open(path) as store:
        store.append([Arrival(detection(age_us=1_500_000), SOURCE, stamp(2))])
    assert rows(path)[0]["time"] == iso_utc(AT_NS + 500_000_000)


def test_a_batch_that_fails_half_way_leaves_nothing_and_the_next_one_is_whole(path: Path) -> None:
    poisoned = detection("61337F34", payload=object())
    with Store.open(path) as store:
        batch = [Arrival(detection(), SOURCE, stamp()), Arrival(poisoned, SOURCE, stamp())]
        with pytest.raises(sqlite3.Error):
            store.append(batch)
        # The tag's number was given out in the transaction that was rolled back.
        store.append([Arrival(detection("61337F34"), SOURCE, stamp())])
    assert [row["tag_id"] for row in rows(path)] == ["61337F34"]


def test_a_seq_is_never_given_twice(path: Path) -> None:
    with Store.open(path) as store:
        store.append([Arrival(detection(), SOURCE, stamp())] * 3)
        store.connection.execute("DELETE FROM detections")
        store.append([Arrival(detection(), SOURCE, stamp())])
    assert [row["seq"] for row in rows(path)] == [4]


def test_two_processes_can_intern_the_same_text(path: Path) -> None:
    with Store.open(path) as one, Store.open(path) as other:
        one.append([Arrival(detection(), SOURCE, stamp())])
        other.append([Arrival(detection(), SOURCE, stamp())])
        one.append([Arrival(detection("61337F34"), SOURCE, stamp())])
        other.append([Arrival(detection("61337F34"), SOURCE, stamp())])
        texts = one.connection.execute("SELECT count(*) FROM texts").fetchone()[0]
    assert texts == 3  # the boot and two tags
    assert [row["tag_id"] for row in rows(path)] == ["78664C33"] * 2 + ["61337F34"] * 2


def test_rows_from_before_the_clock_was_set_show_the_right_time_and_are_not_rewritten(
    path: Path,
) -> None:
    step_ns = 400 * 86_400 * 10**9
    with Store.open(path) as store:
        store.append([Arrival(detection(), SOURCE, stamp(clock="unsynchronised"))])
        with store.transaction():
            for sample in (
                ClockSample("boot-a", 4_000_000_000, AT_NS - 10**9, "unsynchronised", "start"),
                ClockSample("boot-a", 8_000_000_000, AT_NS + 3 * 10**9 + step_ns, "ntp", "step"),
                ClockSample("boot-a", 9_000_000_000, 0, "ntp", "step"),
            ):
                store.add_clock_sample(sample)
    (row,) = rows(path)
    assert row["time"] == iso_utc(AT_NS + step_ns)
    assert row["time_stamped"] == iso_utc(AT_NS)
    assert row["time_quality"] == "corrected"


def test_another_boots_clock_does_not_correct_a_row(path: Path) -> None:
    with Store.open(path) as store:
        store.append([Arrival(detection(), SOURCE, stamp(clock="unsynchronised"))])
        with store.transaction():
            store.add_clock_sample(ClockSample("boot-b", 8_000_000_000, 1, "ntp", "start"))
    assert (rows(path)[0]["time"], rows(path)[0]["time_quality"]) == (
        iso_utc(AT_NS),
        "unsynchronised",
    )


@pytest.mark.parametrize(
    ("recorded_at_unix_s", "quality"),
    [
        (1_483_232_463.0, "implausible"),  # 2017-01-01 01:01:03, a node before GPS
        (3_471_292_800.0, "implausible"),  # 2080
        (1_767_225_000.0, "relay"),
    ],
)
def test_a_relays_clock_is_kept_and_judged(
    path: Path, recorded_at_unix_s: float, quality: str
) -> None:
    relay = Relay(relay_id="3796F5", recorded_at_unix_s=recorded_at_unix_s)
    with Store.open(path) as store:
        store.append([Arrival(detection(relay=relay), SOURCE, stamp())])
    (row,) = rows(path)
    assert row["recorded_at_quality"] == quality
    assert row["time"] == iso_utc(AT_NS)


def test_a_relays_clock_is_not_believed_beside_a_time_that_cannot_be(path: Path) -> None:
    in_2080_ns = 3_471_292_800 * 10**9
    relay = Relay(relay_id="3796F5", recorded_at_unix_s=3_471_292_790.0)
    with Store.open(path) as store:
        store.append([Arrival(detection(relay=relay), SOURCE, Stamp(in_2080_ns, "implausible"))])
    (row,) = rows(path)
    assert (row["time_quality"], row["recorded_at_quality"]) == ("implausible", "implausible")


def test_filters_choose_by_time_tag_and_antenna(path: Path) -> None:
    south = Source(link="ch2", decoder="ctt/1", antenna="south")
    with Store.open(path) as store:
        store.append([Arrival(detection(), SOURCE, stamp(second)) for second in range(4)])
        store.append([Arrival(detection("61337F34"), south, stamp(9))])

    def seqs(**bounds: object) -> list[int]:
        with Reader(path) as reader:
            return [
                row["seq"]
                for row in reader.detections(DetectionFilter(**bounds))  # type: ignore[arg-type]
            ]

    assert seqs(since_utc_ns=AT_NS + 10**9, until_utc_ns=AT_NS + 3 * 10**9) == [2, 3]
    assert seqs(tag_id="61337F34") == [5]
    assert seqs(antenna="north") == [1, 2, 3, 4]


def test_tags_are_summed_up(path: Path) -> None:
    south = Source(link="ch2", decoder="ctt/1", antenna="south")
    with Store.open(path) as store:
        store.append([Arrival(detection(rssi_dbm=-90), SOURCE, stamp(1))])
        store.append([Arrival(detection(integrity="failed"), south, stamp(3))])
    with Reader(path) as reader:
        (tag,) = reader.tags(DetectionFilter())
    assert (tag["detections"], tag["verified"], tag["best_rssi_dbm"]) == (2, 1, -75)
    assert tag["antennas"] == ["north", "south"]
    assert (tag["first"], tag["last"]) == (iso_utc(AT_NS + 10**9), iso_utc(AT_NS + 3 * 10**9))


def test_activity_of_one_hour_is_summed_over_the_daemons_lives(path: Path) -> None:
    def row(session: str, listening_s: float, rejects: dict[str, int]) -> ActivityRow:
        return ActivityRow(
            hour_utc_s=1_767_225_600,
            session=session,
            link="ch1",
            antenna="north",
            listening_s=listening_s,
            frames=10,
            detections=3,
            pulses=0,
            noise_dbm=-101,
            rejects=rejects,
        )

    with Store.open(path, station_id="marsh") as store, store.transaction():
        store.put_activity(row("a", 100, {"crc": 1}))
        store.put_activity(row("a", 900, {"crc": 2}))  # the same hour, later: takes its place
        store.put_activity(row("b", 50.5, {"crc": 1, "length": 4}))
    with Reader(path) as reader:
        (hour,) = hours_listened(reader, DetectionFilter())
    assert hour == {
        "hour": "2026-01-01T00:00:00.000000Z",
        "station": "marsh",
        "link": "ch1",
        "antenna": "north",
        "listening_s": 950.5,
        "frames": 20,
        "detections": 6,
        "pulses": 0,
        "noise_dbm": -101,
        "rejects": {"crc": 3, "length": 4},
    }


def test_unknown_frames_are_bounded_and_cut(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MAX_UNKNOWN_FRAMES", 10)
    with Store.open(path) as store:
        for number in range(8):
            frames = [
                Arrival(Unknown(reason="crc", raw=bytes([number, each]) * 9_000), SOURCE, stamp())
                for each in range(4)
            ]
            store.append(frames)
    with Reader(path) as reader:
        kept = reader.connection.execute("SELECT raw FROM unknown_frames ORDER BY id").fetchall()
    assert len(kept) == 10
    assert {len(row["raw"]) for row in kept} == {MAX_RAW_BYTES}
    assert kept[-1]["raw"][:2] == bytes([7, 3])


def test_every_commit_is_synced(path: Path) -> None:
    with Store.open(path) as store:
        assert store.connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
        assert store.connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_second_opening_keeps_the_stores_identity(path: Path) -> None:
    with Store.open(path, station_id="marsh") as store:
        store_uuid = store.store_uuid
    with Store.open(path, station_id="another") as store:
        assert (store.store_uuid, store.station_id) == (store_uuid, "marsh")


def test_a_store_of_a_newer_version_is_refused(path: Path) -> None:
    with Store.open(path) as store:
        store.connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('stopover', 'm999_from_the_future', '2030')"
        )
    with pytest.raises(StoreNewerError, match="m999_from_the_future"):
        Store.open(path)


def test_a_missing_store_is_not_made_by_a_reader(path: Path) -> None:
    with pytest.raises(StoreMissingError, match="--db"):
        Reader(path)
    with pytest.raises(StoreMissingError, match="--db"):
        Store.open(path, create=False)
    assert not path.exists()


def test_a_file_that_is_no_database_is_named_as_damaged(path: Path) -> None:
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreDamagedError, match=r"marsh\.db"):
        Store.open(path)
    with pytest.raises(StoreDamagedError):
        damage.check(path)
    with pytest.raises(StoreError, match="no store of stopover"):
        Reader(path)


def test_a_damaged_page_is_found_by_the_check(path: Path) -> None:
    with Store.open(path) as store:
        store.append([Arrival(detection(), SOURCE, stamp(each)) for each in range(2_000)])
    contents = bytearray(path.read_bytes())
    middle = len(contents) // 2 // 512 * 512
    contents[middle : middle + 2_048] = b"\xa5" * 2_048
    path.write_bytes(contents)
    with pytest.raises(StoreDamagedError):
        damage.check(path)


def test_a_check_that_takes_too_long_is_given_up_without_complaint(path: Path) -> None:
    with Store.open(path) as store:
        store.append([Arrival(detection(), SOURCE, stamp(each)) for each in range(5_000)])
    assert damage.check(path, longest_s=60) is True
    assert damage.check(path, longest_s=-1) is False


def test_a_store_set_aside_keeps_its_bytes_under_another_name(path: Path) -> None:
    path.write_bytes(b"old")
    path.with_name("marsh.db-wal").write_bytes(b"log")
    first = damage.set_aside(path, AT_NS)
    path.write_bytes(b"older")
    second = damage.set_aside(path, AT_NS)
    assert first.name == "marsh.db.damaged-20260101T000000Z"
    assert first.read_bytes() == b"old"
    assert first.with_name(first.name + "-wal").read_bytes() == b"log"
    assert second.name == "marsh.db.damaged-20260101T000000Z-2"
    assert not path.exists()
