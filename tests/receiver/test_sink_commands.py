"""`stopover upload` and `stopover collect` as a user runs them, and the sinks they are told of."""

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from store_traffic import numbers

from receiver import config
from receiver.cli.main import main
from receiver.sink_settings import FolderSink
from receiver.sinks.uploads import SinkInUseError, lock
from receiver.store.database import Store

HERE = Path("/etc/stopover/station.toml")


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """A station with 30 detections and a USB stick that is plugged in."""
    with Store.open(tmp_path / "s.db", station_id="marsh") as store:
        store.append(numbers(range(1, 31)))
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / ".stopover").touch()
    path = tmp_path / "stopover.toml"
    path.write_text(
        '[station]\nid = "marsh"\n[store]\npath = "s.db"\n[log]\nformat = "json"\n[[sinks]]\n'
        'kind = "folder"\nname = "usb"\nautomatic = false\nfolder = "stick"\n'
        'mark_file = ".stopover"\nbatch_rows = 10\n'
    )
    return path


def stopover(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_a_stick_is_filled_once_and_its_files_are_collected(configuration: Path) -> None:
    stick = configuration.parent / "stick"
    done = stopover("upload", "-c", configuration, "--once", "--sink", "usb")
    assert done.exit_code == 0, done.output
    assert "usb: 30 rows in 3 batches" in done.output
    files = sorted(stick.glob("marsh/*.ndjson.gz"))
    assert [file.name.split("-")[2:4] for file in files] == [
        ["0000000001", "0000000010"],
        ["0000000011", "0000000020"],
        ["0000000021", "0000000030"],
    ]
    assert "copied up to seq 30" in (stick / "marsh" / "last-copied.txt").read_text()
    again = stopover("upload", "-c", configuration, "--once", "--sink", "usb")
    assert "usb: 0 rows in 0 batches" in again.output
    database = configuration.parent / "collected.db"
    for new in (30, 0):
        taken = stopover("collect", stick, "--database", database)
        assert taken.exit_code == 0, taken.output
        assert f"3 files, 30 rows, {new} of them new" in taken.output
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*), max(seq) FROM detections").fetchone() == (
            30,
            30,
        )
    files[0].write_bytes(files[0].read_bytes()[:-20])
    torn = stopover("collect", stick, "--database", database)
    assert torn.exit_code == 1
    assert f"{files[0]}: refused" in torn.output


def test_without_the_stick_the_command_fails_and_says_what_to_do(configuration: Path) -> None:
    (configuration.parent / "stick" / ".stopover").unlink()
    done = stopover("upload", "-c", configuration, "--once", "--sink", "usb")
    assert done.exit_code == 1
    assert "plug the stick in" in done.output
    # A sink that is not automatic is left alone unless it is named.
    assert stopover("upload", "-c", configuration, "--once").exit_code == 0


def test_a_sink_rests_until_it_is_told_to_go_on(configuration: Path) -> None:
    assert "rests" in stopover("upload", "-c", configuration, "--pause", "usb").output
    done = stopover("upload", "-c", configuration, "--once", "--sink", "usb")
    assert (done.exit_code, "paused" in done.output) == (1, True)
    listed = stopover("upload", "-c", configuration, "--list")
    assert "usb: paused, 30 rows wait, acknowledged up to seq 0, never" in listed.output
    assert stopover("upload", "-c", configuration, "--resume", "usb").exit_code == 0
    assert stopover("upload", "-c", configuration, "--once", "--sink", "usb").exit_code == 0
    listed = stopover("upload", "-c", configuration, "--list")
    assert "usb: 0 rows wait, acknowledged up to seq 30, last at 20" in listed.output


def test_a_sink_that_another_process_sends_to_is_left_to_it(configuration: Path) -> None:
    store = configuration.parent / "s.db"
    with lock(store, "usb"):
        done = stopover("upload", "-c", configuration, "--once", "--sink", "usb")
        assert (done.exit_code, "another process" in done.output) == (1, True)
        with pytest.raises(SinkInUseError), lock(store, "usb"):
            pass
    assert stopover("upload", "-c", configuration, "--once", "--sink", "usb").exit_code == 0


def test_wrong_use_is_told_with_what_would_be_right(configuration: Path, tmp_path: Path) -> None:
    wrong = stopover("upload", "-c", configuration, "--sink", "usbb")
    assert (wrong.exit_code, "did you mean `usb`" in wrong.output) == (2, True)
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    assert stopover("upload", "-c", empty).exit_code == 2
    nothing = stopover("collect")
    assert (nothing.exit_code, "mqtt.broker, http.port" in nothing.output) == (2, True)
    assert "[database]" in stopover("collect", "--example").output


def test_an_unreadable_store_fails_in_words(configuration: Path) -> None:
    (configuration.parent / "s.db").unlink()
    done = stopover("upload", "-c", configuration, "--once", "--sink", "usb")
    assert (done.exit_code, "no store" in done.output) == (1, True)
    assert stopover("upload", "-c", configuration, "--pause", "usb").exit_code == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[sinks]]\nname = "a"\n', ["sinks[0]", 'kind = "http", "mqtt", "folder" or "motus"']),
        ('[[sinks]]\nkind = "ftp"\nname = "a"\n', ["sinks[0].kind", 'a sink is of kind "http"']),
        ('[[sinks]]\nkind = "http"\nname = "a"\nurl = "ftp://h"\n', [":4:", "https://HOST"]),
        (
            '[[sinks]]\nkind = "http"\nname = "a"\nurl = "https://h/"\nintervall = 3\n',
            [":5:", "sinks[0].intervall", "did you mean `interval`"],
        ),
        (
            2 * '[[sinks]]\nkind = "folder"\nname = "a"\nfolder = "b"\n',
            ["sinks[1].name", "two sinks are called 'a'"],
        ),
        (
            '[[sinks]]\nkind = "mqtt"\nname = "a"\nbroker = "mqtt://h"\npassword_file = "p"\n',
            ["sinks[0].password_file", "needs a username"],
        ),
        (
            '[[sinks]]\nkind = "http"\nname = "a"\nurl = "http://h/"\nca_file = "p"\n',
            ["sinks[0].url", "https://"],
        ),
        ('[[sinks]]\nkind = "mqtt"\nname = "a"\nbroker = "h"\n', ["mqtt://HOST"]),
        (
            '[[sinks]]\nkind = "motus"\nname = "a"\nproject = 1\nserial = "SG-1"\n',
            ["sinks[0].serial", "registered at Motus"],
        ),
    ],
)
def test_a_wrong_sink_is_named_with_what_would_be_right(text: str, words: list[str]) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.parse(text, HERE)
    for word in words:
        assert word in str(caught.value)


def test_the_sinks_of_the_example_are_good_once_they_are_uncommented() -> None:
    text = config.example()
    begin = text.index("# Where data go")
    lines = text[begin : text.index("# Each radio is a link")].splitlines()[1:]
    uncommented = "\n".join(line.removeprefix("# ") for line in lines)
    sinks = config.parse(uncommented, HERE).sinks
    assert [sink.__struct_config__.tag for sink in sinks] == ["http", "mqtt", "folder", "motus"]
    for key in ("bytes_per_day", "compression", "token_file", "live", "mark_file", "project"):
        assert f"{key} =" in text


def test_paths_of_sinks_are_taken_from_the_folder_of_the_configuration() -> None:
    (sink,) = config.parse('[[sinks]]\nkind = "folder"\nname = "a"\nfolder = "stick"\n', HERE).sinks
    assert isinstance(sink, FolderSink)
    assert sink.folder == "/etc/stopover/stick"


def test_the_same_rows_give_the_same_file(configuration: Path) -> None:
    stick = configuration.parent / "stick"
    names = []
    for _ in range(2):
        for file in (configuration.parent / "stick").glob("marsh/*"):
            file.unlink()
        assert stopover("upload", "-c", configuration, "--once", "--sink", "usb").exit_code == 0
        names.append(sorted(file.name for file in (stick / "marsh").iterdir()))
        with contextlib.closing(sqlite3.connect(configuration.parent / "s.db")) as connection:
            connection.execute("DELETE FROM sink_marks")
            connection.commit()
    assert names[0] == names[1]
    assert json.dumps(names[0]).count(".ndjson.gz") == 3
