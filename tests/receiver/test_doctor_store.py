"""The doctor looks at the store, at what is heard, and at the lists of tags."""

import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from doctors_patient import NOBODY, Patient

from protocols.records import Detection, Pulse, Record, Unknown
from receiver.arrivals import ActivityRow, Arrival, ClockQuality, Source, Stamp
from receiver.doctor import clock, disk, hearing, store, store_files, tags
from receiver.health.snapshot import SinkSnapshot, StoreSnapshot
from receiver.store.database import Store
from receiver.store.lock import hold

HOUR_S = 3600
TAG = "78664C33"
LINKS = """
[[links]]
kind = "serial"
name = "ch1"
device = "/dev/ttyACM0"
antenna = "north"
[[links]]
kind = "serial"
name = "ch2"
device = "/dev/ttyACM1"
decoder = "sensorgnome"
"""


class StoredPatient(Patient):
    """A station with a store."""

    @property
    def path(self) -> Path:
        """Return its store."""
        return self.folder / "stopover.db"

    def keep(
        self,
        *records: Record,
        hours_ago: float = 1,
        quality: ClockQuality = "ntp",
        link: str = "ch1",
    ) -> None:
        """Keep records that came so long ago."""
        stamp = Stamp(int((self.now_s - hours_ago * HOUR_S) * 1e9), quality, 5, "boot")
        source = Source(link=link, decoder="ctt/1", antenna="north" if link == "ch1" else None)
        with Store.open(self.path, station_id="marsh") as opened:
            opened.append(Arrival(record, source, stamp) for record in records)

    def hour(self, hours_ago: int, *, detections: int = 0, **changes: Any) -> ActivityRow:  # noqa: ANN401  One test, one change.
        """Return one hour's activity."""
        values = {
            "hour_utc_s": int(self.now_s) // HOUR_S * HOUR_S - hours_ago * HOUR_S,
            "session": "life",
            "link": "ch1",
            "antenna": "north",
            "listening_s": 3600.0,
            "frames": 100,
            "detections": detections,
            "pulses": 0,
            "noise_dbm": None,
            "rejects": {},
        }
        return msgspec.convert(values | changes, ActivityRow)

    def listened(self, *hours: ActivityRow) -> None:
        """Keep hours of activity."""
        with Store.open(self.path, station_id="marsh") as opened, opened.transaction():
            for hour in hours:
                opened.put_activity(hour)


@pytest.fixture
def patient(tmp_path: Path) -> StoredPatient:
    """A station with two links and an empty store."""
    patient = StoredPatient(tmp_path)
    patient.text += LINKS
    Store.open(patient.path, station_id="marsh").close()
    return patient


def detection(tag_id: str = TAG, antenna: str | None = None) -> Detection:
    return Detection(protocol="ctt-434", tag_id=tag_id, integrity="verified", antenna=antenna)


def test_a_store_that_is_whole_is_good(patient: StoredPatient) -> None:
    patient.keep(detection())
    assert patient.is_well(store.store)


def test_a_store_that_is_missing_is_a_fault_only_while_the_daemon_runs(
    patient: StoredPatient,
) -> None:
    patient.path.unlink()
    assert patient.names(store.store) == [("store", "note")]
    patient.hears()
    assert patient.names(store.store) == [("store", "fault")]


def test_a_damaged_store_is_a_fault(patient: StoredPatient) -> None:
    patient.keep(*(detection(f"{number:08X}") for number in range(2000)))
    with patient.path.open("r+b") as file:
        file.seek(patient.path.stat().st_size // 2)
        file.write(os.urandom(20_000))
    (finding,) = patient.found(store.store)
    assert (finding.check, finding.severity) == ("store", "fault")
    assert "damaged" in finding.found


def test_a_file_that_is_no_store_is_a_fault(patient: StoredPatient) -> None:
    patient.path.write_bytes(b"no database" * 100)
    assert patient.names(store.store) == [("store", "fault")]


def test_a_store_of_another_station_is_a_fault(patient: StoredPatient) -> None:
    patient.text = patient.text.replace("marsh", "fen")
    (finding,) = patient.found(store.store)
    assert "belongs to station marsh, not to fen" in finding.found


def test_a_store_that_somebody_else_has_written_is_a_fault(patient: StoredPatient) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = Path(name) / "stopover.db"
        patient.text += f'[store]\npath = "{path}"\n'
        Store.open(path, station_id="marsh").close()
        assert patient.is_well(store_files.store_permission)
        path.chmod(0o644)
        patient.identity = NOBODY
        (finding,) = patient.found(store_files.store_permission)
        assert (finding.check, finding.severity) == ("store-permission", "fault")
        assert f"chown nobody: {path}" in finding.do
        path.chmod(0o666)
        assert patient.is_well(store_files.store_permission)


def test_stores_that_were_set_aside_are_told(patient: StoredPatient) -> None:
    assert patient.is_well(store.set_aside)
    patient.path.with_name("stopover.db.damaged-20260512T120000Z").touch()
    patient.path.with_name("stopover.db.damaged-20260512T120000Z-wal").touch()
    assert patient.names(store.set_aside) == [("set-aside", "warning")]


def test_a_station_that_does_not_run_is_a_fault(patient: StoredPatient) -> None:
    assert patient.names(store.one_daemon) == [("daemon", "fault")]
    with hold(patient.path):
        (finding,) = patient.found(store.one_daemon)
        assert (finding.check, finding.severity) == ("daemon", "warning")
        assert f"process {os.getpid()} has the store" in finding.found
        patient.hears()
        assert patient.is_well(store.one_daemon)


def test_a_second_daemon_is_told(patient: StoredPatient) -> None:
    patient.hears()
    with hold(patient.path):
        patient.runs("python3", os.getpid(), "/opt/stopover/bin/stopover", "run", "-c", "a.toml")
        assert patient.is_well(store.one_daemon)
        patient.runs("python3", 4711, "/opt/stopover/bin/stopover", "run", "-c", "b.toml")
        (finding,) = patient.found(store.one_daemon)
    assert (finding.check, finding.severity) == ("two-daemons", "warning")
    assert "4711" in finding.found


SINK = '[[sinks]]\nkind = "http"\nname = "home"\nurl = "https://example.org/b"\n'


def test_rows_that_wait_for_too_long_are_a_fault(patient: StoredPatient) -> None:
    patient.text += SINK
    patient.keep(detection(), hours_ago=2)
    assert patient.is_well(store.backlog)
    patient.now_s += 30 * HOUR_S
    (finding,) = patient.found(store.backlog)
    assert (finding.check, finding.severity, finding.subject) == ("backlog", "fault", "sink home")
    assert "1 rows wait, the oldest for 32 h" in finding.found


def test_a_sink_that_rests_is_told(patient: StoredPatient) -> None:
    patient.text += SINK
    with Store.open(patient.path) as opened, opened.transaction() as connection:
        connection.execute("INSERT INTO sink_states VALUES ('home', 1, NULL, 0)")
    (finding,) = patient.found(store.backlog)
    assert (finding.severity, "--resume home" in finding.do) == ("warning", True)


def test_a_far_end_that_refuses_us_is_a_fault(patient: StoredPatient) -> None:
    patient.text += SINK
    sink = SinkSnapshot(
        name="home", kind="http", state="refused", reason="401", advice="check the token"
    )
    patient.hears(sinks=(sink,))
    (finding,) = patient.found(store.backlog)
    assert (finding.severity, finding.do) == ("fault", "check the token")


def test_rows_that_nobody_has_are_told(patient: StoredPatient) -> None:
    assert patient.is_well(store.rows_lost)
    with Store.open(patient.path) as opened, opened.transaction() as connection:
        connection.execute("INSERT INTO rows_pruned VALUES ('detections', 5, 3)")
    (finding,) = patient.found(store.rows_lost)
    assert (finding.check, finding.severity) == ("rows-lost", "warning")
    assert finding.found.startswith("3 rows were deleted")
    patient.hears()
    assert patient.snapshot is not None
    lost = StoreSnapshot(
        path="x",
        state="failing",
        store_uuid="u",
        bytes=1,
        free_bytes=1,
        disk_bytes=1,
        dropped_rows=7,
    )
    patient.hears(store=lost)
    assert ("rows-lost", "fault") in patient.names(store.rows_lost)


def test_rows_with_times_that_cannot_be_believed_are_told(patient: StoredPatient) -> None:
    patient.keep(detection(), detection())
    assert patient.is_well(clock.clock_of_rows)
    patient.keep(detection(), quality="unsynchronised")
    (finding,) = patient.found(clock.clock_of_rows)
    assert (finding.check, finding.severity) == ("clock-of-rows", "warning")
    assert "1 of the newest 3 detections" in finding.found


def test_the_days_left_follow_from_a_busy_day(patient: StoredPatient) -> None:
    patient.keep(*(detection() for _ in range(500)))
    patient.listened(patient.hour(2, detections=500))
    assert patient.is_well(disk.disk_room)
    (finding,) = patient.found(disk.disk_room, also_good=True)
    assert "years" in finding.found or "days" in finding.found
    patient.text += "[alarms]\ndisk_days = 3650\n"
    patient.listened(patient.hour(3, detections=10**12))
    assert patient.names(disk.disk_room) == [("disk-room", "fault")]


@pytest.mark.parametrize("antenna", ["", 'antenna = "north"'])
def test_a_beacon_that_is_not_heard_is_a_fault(patient: StoredPatient, antenna: str) -> None:
    patient.text += f'[[beacons]]\ntag = "{TAG.lower()}"\nwithin_hours = 12\n{antenna}\n'
    (finding,) = patient.found(hearing.beacons)
    assert (finding.check, finding.severity) == ("beacon", "fault")
    assert f"--walk-test {TAG}" in finding.do
    patient.keep(detection(), hours_ago=13)
    (finding,) = patient.found(hearing.beacons)
    assert "last 13 h ago" in finding.found
    patient.keep(detection(), hours_ago=1)
    assert patient.is_well(hearing.beacons)


def test_a_beacon_must_be_heard_on_its_own_antenna(patient: StoredPatient) -> None:
    patient.text += f'[[beacons]]\ntag = "{TAG}"\nantenna = "south"\n'
    patient.keep(detection())
    assert patient.names(hearing.beacons) == [("beacon", "fault")]


def test_an_antenna_that_is_silent_for_longer_than_usual_is_told(patient: StoredPatient) -> None:
    patient.listened(
        *(
            patient.hour(ago, detections=5 if ago > 50 and ago % 10 == 0 else 0)
            for ago in range(200, -1, -1)
        )
    )
    (finding,) = patient.found(hearing.silent_antennas)
    assert (finding.check, finding.severity, finding.subject) == (
        "silent-antenna",
        "warning",
        "antenna north",
    )
    assert "at most 10 h before" in finding.found
    assert "listened for 24 of the last 24 h" in finding.found
    patient.listened(patient.hour(1, detections=1))
    assert patient.is_well(hearing.silent_antennas)


def test_an_antenna_that_never_heard_anything_is_told_after_a_day(patient: StoredPatient) -> None:
    patient.listened(*map(patient.hour, range(10)))
    assert patient.names(hearing.silent_antennas) == [("silent-antenna", "note")]
    patient.listened(*map(patient.hour, range(10, 30)))
    assert patient.names(hearing.silent_antennas) == [("silent-antenna", "warning")]


@pytest.fixture(
    params=[
        (b"$GPRMC,123519,A,4807.038,N", "ch1", "GPS"),
        (b"p3,1762424893.9102,-0.331,-53.01,-67.93", "ch1", 'decoder = "sensorgnome"'),
        (bytes(range(128, 160)), "ch1", "baud_rate"),
        (b"hello from a new firmware", "ch1", "stopover record ch1"),
    ],
    ids=["gps", "other decoder", "line noise", "new firmware"],
)
def strange(request: pytest.FixtureRequest) -> tuple[bytes, str, str]:
    """Return frames that a CTT decoder cannot read, and what is said of them."""
    told: tuple[bytes, str, str] = request.param
    return told


def test_unknown_frames_are_told_with_what_they_may_be(
    patient: StoredPatient, strange: tuple[bytes, str, str]
) -> None:
    raw, link, said = strange
    assert patient.is_well(hearing.unknown_frames)
    patient.keep(*(Unknown(reason="not-ctt", raw=raw) for _ in range(60)), link=link)
    patient.listened(patient.hour(1, frames=100, rejects={"not-ctt": 20}))
    (finding,) = patient.found(hearing.unknown_frames)
    assert (finding.check, finding.severity) == ("unknown-frames", "note")
    assert "60 kept" in finding.found
    assert "20%" in finding.found
    assert said in finding.do
    patient.listened(patient.hour(1, frames=100, rejects={"not-ctt": 90}))
    assert patient.names(hearing.unknown_frames) == [("unknown-frames", "warning")]


def test_a_list_of_coded_tags_is_counted_or_told_why_not(patient: StoredPatient) -> None:
    patient.text += '[tags]\ncoded_ids = "tags.csv"\n'
    path = patient.folder / "tags.csv"
    assert patient.names(tags.tag_lists) == [("tag-list", "fault")]
    path.write_text("hello\n1\n")
    assert patient.names(tags.tag_lists) == [("tag-list", "fault")]
    row = '"TEST","1",166.38,4,5.3,22,33,44,"lotek","x"\n'
    head = '"proj","id","tagFreq","fcdFreq","bi","g1","g2","g3","codeSet","x"\n'
    path.write_text(head.replace("tagFreq", "tagFreq") + row + row.replace("22", "none"))
    found = patient.found(tags.tag_lists, also_good=True)
    assert [each.severity for each in found] == ["warning", "ok"]
    assert "1 tags" in found[1].found


def test_lists_of_known_tags_and_names_are_counted_or_told_why_not(patient: StoredPatient) -> None:
    patient.text += '[tags]\nknown_file = "known"\nnames_file = "names.csv"\n'
    assert patient.names(tags.tag_lists) == [("tag-list", "warning")] * 2
    (patient.folder / "known").write_text(f"{TAG}\n61552D4C\n")
    (patient.folder / "names.csv").write_text(f"tag_id,name\n{TAG},Greta\n")
    found = patient.found(tags.tag_lists, also_good=True)
    assert [each.found.split(" in ")[0] for each in found] == ["2 tags", "1 tags"]
    (patient.folder / "names.csv").write_text("who,what\n")
    assert patient.names(tags.tag_lists) == [("tag-list", "warning")]


def test_pulses_without_a_list_are_told(patient: StoredPatient) -> None:
    assert patient.is_well(tags.unlisted_pulses)
    patient.keep(Pulse(frequency_offset_hz=4000, signal_db=-50), link="ch2")
    assert patient.names(tags.unlisted_pulses) == [("tag-list", "warning")]
