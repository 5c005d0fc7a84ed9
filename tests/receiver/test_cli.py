"""The commands as a user types them: what they print, and how they end."""

import csv
import datetime as dt
import io
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from station_process import STOPOVER, run_stopover

from protocols.records import Detection, Relay, Unknown
from receiver.arrivals import ActivityRow, Arrival, ClockSample, Source, Stamp
from receiver.cli.main import _COMMANDS, main
from receiver.run_index import index_runs
from receiver.store.database import Store
from receiver.store.queries import DETECTION_KEYS
from receiver.store.run_queries import RUN_KEYS

NOON_NS = int(dt.datetime(2026, 5, 12, 12, tzinfo=dt.UTC).timestamp()) * 10**9
HOSTILE = "\x1b]0;owned\x07\x1b[31mTAG\u202e\n"

KEYS_PROMISED = {
    "seq",
    "time",
    "time_quality",
    "station",
    "link",
    "antenna",
    "protocol",
    "tag_id",
    "integrity",
    "id_legal",
    "rssi_dbm",
    "snr_db",
    "frequency_offset_hz",
    "relay_id",
    "measurements",
    "raw",
}


def stopover(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], prog_name="stopover")


def detection(tag_id: str, *, rssi_dbm: float = -70, relay: Relay | None = None) -> Detection:
    return Detection(
        protocol="ctt-434",
        tag_id=tag_id,
        integrity="verified",
        id_legal=True,
        rssi_dbm=rssi_dbm,
        relay=relay,
        raw=b"\xab\x0c",
    )


def keep(store: Store, records: Sequence[Detection | Unknown], antenna: str | None) -> None:
    """Keep records that arrived a second apart from noon on."""
    source = Source(link="ch1", decoder="ctt/1", antenna=antenna)
    store.append(
        Arrival(record, source, Stamp(NOON_NS + second * 10**9, "ntp", 10**9 * second, "boot"))
        for second, record in enumerate(records)
    )


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Return a store with four detections of two tags, an unknown frame and an hour's activity."""
    path = tmp_path / "marsh.db"
    with Store.open(path, station_id="marsh") as store:
        relay = Relay(relay_id="3796F5", relay_rssi_dbm=-60)
        keep(store, [detection("78664C33"), detection("78664C33", rssi_dbm=-65)], "north")
        keep(store, [detection("6161527F"), detection("78664C33", relay=relay)], "south")
        keep(store, [Unknown(reason="not-hex", raw=b"\x1b[2J")], "south")
        with store.transaction():
            store.add_clock_sample(ClockSample("boot", 0, NOON_NS, "ntp", "start"))
            store.put_activity(
                ActivityRow(
                    hour_utc_s=NOON_NS // 10**9,
                    session="life",
                    link="ch1",
                    antenna="north",
                    listening_s=3600,
                    frames=5,
                    detections=4,
                    pulses=0,
                    noise_dbm=None,
                    rejects={"not-hex": 1},
                )
            )
    return path


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = stopover(command, "--help")
    assert result.exit_code == 0, result.output
    assert f"Usage: stopover {command}" in result.output
    assert "Example" in result.output


def test_the_program_lists_its_commands_and_tells_its_version() -> None:
    listed = stopover("--help").output
    assert all(f"\n  {command} " in listed for command in _COMMANDS)
    assert stopover("--version").output.startswith("stopover 0.")


def test_a_mistyped_command_is_told_with_the_nearest_one() -> None:
    result = stopover("detection")
    assert result.exit_code == 2
    assert "Did you mean `stopover detections`?" in result.output


def test_what_init_writes_is_a_good_configuration(tmp_path: Path) -> None:
    path = tmp_path / "stopover.toml"
    assert stopover("init", path, "--station", "marsh-north").exit_code == 0
    result = stopover("check", "-c", path)
    assert result.exit_code == 0, result.output
    assert "good. Station marsh-north, 0 links" in result.output


def test_init_writes_over_nothing_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "stopover.toml"
    path.write_text("mine")
    result = stopover("init", path)
    assert result.exit_code == 1
    assert "--force" in result.output
    assert path.read_text() == "mine"
    assert stopover("init", path, "--force").exit_code == 0
    assert path.read_text() != "mine"


def test_a_wrong_key_is_told_with_file_line_and_the_right_one(tmp_path: Path) -> None:
    path = tmp_path / "stopover.toml"
    path.write_text("[store]\ncommit_intervall = 2\n")
    result = stopover("check", "-c", path)
    assert result.exit_code == 2
    assert str(path) in result.output
    assert "commit_intervall" in result.output
    assert "did you mean" in result.output.lower()


def test_detections_as_json_are_one_object_a_line_with_every_promised_key(db: Path) -> None:
    result = stopover("detections", "--db", db, "--format", "json")
    rows = [msgspec.json.decode(line) for line in result.stdout_bytes.splitlines()]
    assert result.exit_code == 0
    assert [row["seq"] for row in rows] == [1, 2, 3, 4]
    assert all(row.keys() >= KEYS_PROMISED for row in rows)
    assert (
        rows[1]
        | {
            "time": "2026-05-12T12:00:01.000000Z",
            "time_quality": "ntp",
            "station": "marsh",
            "antenna": "north",
            "tag_id": "78664C33",
            "integrity": "verified",
            "id_legal": True,
            "rssi_dbm": -65,
            "snr_db": None,
            "relay_id": None,
            "measurements": {},
            "raw": "ab0c",
        }
        == rows[1]
    )
    assert rows[3]["relay_id"] == "3796F5"


def test_detections_as_csv_have_the_same_columns(db: Path) -> None:
    result = stopover("detections", "--db", db, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert result.stdout.splitlines()[0].split(",") == list(DETECTION_KEYS)
    assert [row["tag_id"] for row in rows] == ["78664C33", "78664C33", "6161527F", "78664C33"]
    assert rows[0]["snr_db"] == ""
    assert rows[0]["raw"] == "ab0c"


def test_detections_as_a_table_are_aligned(db: Path) -> None:
    head, *lines = stopover("detections", "--db", db).stdout.splitlines()
    assert len(lines) == 4
    for line in lines:
        assert line[head.index("antenna") :].startswith(("north", "south"))
        assert line[head.index("integrity") :].startswith("verified")


@pytest.mark.parametrize(
    ("filters", "seqs"),
    [
        (["--tag", "6161527F"], [3]),
        (["--antenna", "north"], [1, 2]),
        (["--since", "2026-05-12T12:00:01"], [2, 4]),
        (["--until", "2026-05-12T12:00:01Z"], [1, 3]),
        (["--since", "2026-05-13"], []),
        (["--antenna", "nowhere"], []),
    ],
)
def test_rows_can_be_chosen(db: Path, filters: list[str], seqs: list[int]) -> None:
    result = stopover("detections", "--db", db, "--format", "json", *filters)
    rows = [msgspec.json.decode(line) for line in result.stdout_bytes.splitlines()]
    assert [row["seq"] for row in rows] == seqs


def test_a_time_that_is_none_is_wrong_use(db: Path) -> None:
    result = stopover("detections", "--db", db, "--since", "yesterday")
    assert result.exit_code == 2
    assert "write 2026-05-12" in result.output


def test_tags_are_counted_with_where_and_how_well_they_were_heard(db: Path) -> None:
    result = stopover("tags", "--db", db, "--format", "json")
    first, second = map(msgspec.json.decode, result.stdout_bytes.splitlines())
    assert (first["tag_id"], first["detections"], first["best_rssi_dbm"]) == ("78664C33", 3, -65)
    assert first["antennas"] == ["north", "south"]
    assert (second["tag_id"], second["verified"]) == ("6161527F", 1)


def test_runs_are_told_with_their_place_and_confidence(db: Path) -> None:
    with Store.open(db) as store:
        index_runs(store)
    rows = [
        msgspec.json.decode(line)
        for line in stopover("runs", "--db", db, "--format", "json").output.splitlines()
    ]
    assert {row["place"] for row in rows if row["tag_id"] == "78664C33"} == {"north", "3796F5"}
    assert {row["tag_id"]: row["confidence"] for row in rows} == {
        "78664C33": "certain",
        "6161527F": "likely",
    }
    chosen = stopover("runs", "--db", db, "--min-confidence", "certain", "--format", "csv").output
    assert "6161527F" not in chosen
    assert chosen.splitlines()[0].split(",") == list(RUN_KEYS)


def test_activity_shows_the_hours_listened_and_what_came_to_nothing(db: Path) -> None:
    result = stopover("activity", "--db", db, "--format", "json")
    (hour,) = map(msgspec.json.decode, result.stdout_bytes.splitlines())
    assert (hour["hour"], hour["antenna"]) == ("2026-05-12T12:00:00.000000Z", "north")
    assert (hour["listening_s"], hour["detections"], hour["rejects"]) == (3600, 4, {"not-hex": 1})


def test_status_tells_what_waits_for_each_sink(db: Path) -> None:
    with Store.open(db) as store, store.transaction() as connection:
        connection.execute("INSERT INTO sink_marks VALUES ('home', 3, ?)", (NOON_NS,))
    (sink,) = msgspec.json.decode(stopover("status", "--db", db, "--json").output)["sinks"]
    assert (sink["sink"], sink["acknowledged_seq"], sink["waiting"]) == ("home", 3, 1)
    told = stopover("status", "--db", db).output
    assert "home: 1 detections wait, acknowledged last 2026-05-12T12:00:00Z" in told


def test_status_as_json_tells_rows_clock_disk_and_unknown_frames(db: Path) -> None:
    result = stopover("status", "--db", db, "--json")
    status = msgspec.json.decode(result.stdout)
    assert (status["station"], status["running"]) == ("marsh", False)
    assert (status["rows"]["detections"], status["rows"]["unknown_frames"]) == (4, 1)
    assert status["clock"]["quality"] == "ntp"
    assert status["free_bytes"] > 0
    assert [each["reason"] for each in status["unknown_frames"]] == ["not-hex"]
    assert {each["antenna"] for each in status["last_heard"]} == {"north", "south"}


@pytest.mark.parametrize("command", ["detections", "tags", "activity", "status"])
def test_a_store_that_is_not_there_or_is_none_is_told_in_a_line(
    tmp_path: Path, command: str
) -> None:
    strange = tmp_path / "strange.db"
    strange.write_bytes(b"no database" * 100)
    for path, said in ((tmp_path / "none.db", "there is no store here"), (strange, "is no store")):
        result = stopover(command, "--db", path)
        assert result.exit_code == 1
        assert f"{path}: " in result.output
        assert said in result.output
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("command", ["detections", "tags", "status"])
def test_what_came_from_the_air_cannot_write_to_the_terminal(tmp_path: Path, command: str) -> None:
    path = tmp_path / "marsh.db"
    with Store.open(path, station_id="marsh") as store:
        keep(store, [detection(HOSTILE)], f"north{HOSTILE}")
        keep(store, [Unknown(reason="not-hex", raw=HOSTILE.encode())], None)
    result = stopover(command, "--db", path)
    assert result.exit_code == 0, result.output
    assert all(each.isprintable() for line in result.stdout.split("\n") for each in line)
    assert "\\x1b[31mTAG\\u202e\\n" in result.stdout


@pytest.mark.parametrize("output_format", ["table", "json", "csv"])
def test_a_reader_that_goes_away_early_ends_the_printing_quietly(
    tmp_path: Path, output_format: str
) -> None:
    path = tmp_path / "marsh.db"
    with Store.open(path, station_id="marsh") as store:
        keep(store, [detection(f"{number:08X}") for number in range(5_000)], "north")
    command = [STOPOVER, "detections", "--db", str(path), "--format", output_format]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as printing:
        assert printing.stdout is not None
        assert printing.stderr is not None
        assert printing.stdout.readline()
        printing.stdout.close()
        assert printing.stderr.read() == b""
        assert printing.wait(20) == 0


def test_a_command_that_reads_harms_nothing(db: Path, tmp_path: Path) -> None:
    before = db.read_bytes()
    for command in ("detections", "tags", "activity", "status"):
        assert run_stopover(command, "--db", db, folder=tmp_path).returncode == 0
    assert db.read_bytes() == before
