"""The commands as a user types them: what they print, and how they end."""

import csv
import datetime as dt
import io
import os
import pty
import subprocess
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result
from small_disks import small_disk
from station_process import STOPOVER, run_stopover

from protocols.records import Detection, Relay, Unknown
from receiver.arrivals import ActivityRow, Arrival, ClockSample, Source, Stamp
from receiver.cli.main import _COMMANDS, main
from receiver.cli.options import Number
from receiver.run_index import index_runs
from receiver.store.database import Store
from receiver.store.detection_rows import DETECTION_KEYS
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


def test_init_leaves_nothing_behind_where_the_disk_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        path = disk.folder / "stopover.toml"
        disk.fill()
        assert "No space left" in stopover("init", path).stderr
        disk.free()
        assert stopover("init", path).exit_code == 0


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
        (["--since", "0001-01-01", "--until", "9999-12-31"], [1, 2, 3, 4]),
        (["--tag", "6161527f"], [3]),
        (["--antenna", "nowhere"], []),
    ],
)
def test_rows_can_be_chosen(db: Path, filters: list[str], seqs: list[int]) -> None:
    result = stopover("detections", "--db", db, "--format", "json", *filters)
    rows = [msgspec.json.decode(line) for line in result.stdout_bytes.splitlines()]
    assert [row["seq"] for row in rows] == seqs


@pytest.mark.parametrize("output_format", ["table", "csv"])
def test_a_letter_that_the_locale_lacks_is_shown_by_its_number(
    db: Path, output_format: str
) -> None:
    with Store.open(db) as store:
        keep(store, [detection("78664C33")], "Süd")
    arguments = ["detections", "--db", str(db), "--antenna", "Süd", "--format", output_format]
    result = CliRunner(charset="ascii").invoke(main, arguments)
    assert result.exit_code == 0
    assert r"S\xfcd" in result.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["replay", "x.jsonl", "--decoder", "martian"],
        ["record", "ch1", "x.jsonl", "--device", "/dev/null", "--decoder", "martian"],
        ["redecode", "--decoder", "martian"],
        ["decoders", "martian"],
    ],
)
def test_a_decoder_that_is_not_there_is_wrong_use(command: list[str]) -> None:
    result = stopover(*command)
    assert result.exit_code == 2
    assert "there is no decoder 'martian'; there are: chirpstack, ctt," in result.stderr


def test_a_broker_that_is_no_address_is_wrong_use_and_not_tried_for_ever() -> None:
    result = stopover("collect", "--broker", "broker.example.org", "--database", "x.db")
    assert result.exit_code == 2
    assert "must be like mqtt://HOST[:PORT]" in result.stderr


def test_a_demo_that_cannot_write_its_truth_says_so(tmp_path: Path) -> None:
    truth = tmp_path / "nowhere" / "truth.jsonl"
    result = stopover("demo", "--duration", "1", "--truth", truth)
    assert result.exit_code == 1
    assert f"Error: {truth}: No such file" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "quiet-marsh", "--files", "out", "--duration", "nan"),
        ("simulate", "quiet-marsh", "--files", "out", "--bit-error-rate", "nan"),
        ("demo", "--duration", "inf"),
        ("spectrum", "--latitude", "nan", "--longitude", "8"),
        ("replay", "a.jsonl", "--speed", "nan"),
        ("listen", "--at", "nan,8"),
    ],
    ids=" ".join,
)
def test_a_number_that_is_none_is_wrong_use(arguments: Sequence[str]) -> None:
    result = stopover(*arguments)
    assert result.exit_code == 2, result.output
    assert "is no number" in result.output or "is not on Earth" in result.output


def test_no_command_takes_a_number_unchecked() -> None:
    for name in _COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter.type, click.types.FloatParamType):
                assert isinstance(parameter.type, Number), (name, parameter.name)


@pytest.mark.parametrize(
    "arguments",
    [("tags", "--tag"), ("detections", "--antenna"), ("export", "csv", "--tag"), ("decoders",)],
    ids=" ".join,
)
def test_a_text_that_is_no_utf_8_is_wrong_use(arguments: Sequence[str]) -> None:
    result = stopover(*arguments, "\udcff")  # As Python has the byte FF of a command line.
    assert result.exit_code == 2, result.exception
    assert r"b'\xff' is no UTF-8" in result.output


def test_a_store_whose_name_is_no_utf_8_is_told_in_json(db: Path) -> None:
    strange = db.rename(db.with_name(os.fsdecode(b"\xff.db")))
    result = stopover("status", "--json", "--db", strange)
    assert result.exit_code == 0, result.exception
    assert msgspec.json.decode(result.output)["store"].endswith("\ufffd.db")


def test_progress_is_shown_on_the_terminal_and_not_among_what_is_printed(db: Path) -> None:
    ours, terminal = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        done = subprocess.run(
            [STOPOVER, "redecode", "--db", db],
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
            stdout=subprocess.PIPE,
            stderr=terminal,
            text=True,
            check=True,
        )
        shown = screen.read(65_536)
        os.close(terminal)
    assert b"reading again" in shown
    assert done.stdout.startswith("0 unknown frames read")


def test_a_time_that_is_none_is_wrong_use(db: Path) -> None:
    result = stopover("detections", "--db", db, "--since", "yesterday")
    assert result.exit_code == 2
    assert "write 2026-05-12" in result.output


@pytest.mark.parametrize(
    "command", [["detections"], ["activity"], ["export", "csv", "--out", "none"], ["redecode"]]
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_period_that_ends_before_it_begins_is_wrong_use(
    db: Path, command: list[str], *, turned: bool
) -> None:
    period = ["--since", "2026-05-13"], ["--until", "2026-05-12"]
    first, second = reversed(period) if turned else period
    result = stopover(*command, "--db", db, *first, *second)
    assert result.exit_code == 2
    assert "--since is after --until" in result.output


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


@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [
        (["--help"], ""),
        (["status"], ""),
        (["detections", "--format", "table"], ""),
        (["detections", "--format", "json"], ""),
        (["export", "csv", "--out", "out"], "1"),
    ],
    ids=" ".join,
)
def test_a_full_disk_behind_what_is_printed_is_told_in_a_line(
    db: Path, tmp_path: Path, command: list[str], unbuffered: str
) -> None:
    named = [] if command == ["--help"] else ["--db", str(db)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [STOPOVER, *command, *named],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: what is printed cannot be written: No space left on device;")


def test_a_command_that_is_started_without_an_output_prints_nothing(db: Path) -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh"]
    command = [*closed, STOPOVER, "tags", "--db", str(db), "--format", "csv"]
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_command_that_reads_harms_nothing(db: Path, tmp_path: Path) -> None:
    before = db.read_bytes()
    for command in ("detections", "tags", "activity", "status"):
        assert run_stopover(command, "--db", db, folder=tmp_path).returncode == 0
    assert db.read_bytes() == before
