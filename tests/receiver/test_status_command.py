"""`stopover status`: one screen, from the running daemon or from the store alone."""

import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest
from click.testing import CliRunner
from conftest import Until
from pseudo_terminals import PseudoRadio
from station_process import StationProcess, beep, run_stopover, serial_link

from protocols.ctt.packet import id_from_number
from protocols.records import Detection, Record, Unknown
from receiver.arrivals import ActivityRow, Arrival, Source, Stamp
from receiver.cli.main import main
from receiver.cli.status_screen import screen, sparkline
from receiver.health.snapshot import (
    AlarmSnapshot,
    AntennaSnapshot,
    ClockSnapshot,
    HostSnapshot,
    LinkSnapshot,
    SinkSnapshot,
    StationSnapshot,
    StoreSnapshot,
)
from receiver.store.database import Store

PlugIn: TypeAlias = Callable[[], PseudoRadio]
HOUR_S = 3600

KEYS_OF_OLD = {
    "station",
    "store_uuid",
    "running",
    "clock",
    "store_bytes",
    "free_bytes",
    "rows",
    "last_heard",
    "sinks",
    "radios",
    "unknown_frames",
}
"""What `--json` printed before it knew the daemon: scripts depend on it."""


def keep(path: Path, *records: Record, antenna: str = "north") -> None:
    source = Source(link="ch1", decoder="ctt/1", antenna=antenna)
    with Store.open(path, station_id="marsh") as store:
        store.append(Arrival(each, source, Stamp(time.time_ns(), "ntp")) for each in records)


def listened(
    path: Path, hours_ago: int, detections: int, listening_s: float, antenna: str = "north"
) -> None:
    row = ActivityRow(
        hour_utc_s=int(time.time()) // HOUR_S * HOUR_S - hours_ago * HOUR_S,
        session="life",
        link="ch1",
        antenna=antenna,
        listening_s=listening_s,
        frames=1,
        detections=detections,
        pulses=0,
        noise_dbm=None,
        rejects={},
    )
    with Store.open(path, station_id="marsh") as store, store.transaction():
        store.put_activity(row)


def detection(tag_id: str = "78664C33") -> Detection:
    return Detection(protocol="ctt-434", tag_id=tag_id, integrity="verified", rssi_dbm=-70)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A store of a station that does not run."""
    path = tmp_path / "marsh.db"
    keep(path, detection())
    listened(path, 5, 10, 3600)
    listened(path, 4, 80, 3600)
    listened(path, 3, 0, 3600)
    listened(path, 0, 1, 10)
    return path


def status(*arguments: str | Path) -> str:
    result = CliRunner().invoke(main, ["status", *map(str, arguments)], prog_name="stopover")
    assert result.exit_code == 0, result.output
    return result.stdout


def test_hours_are_bars_dots_and_gaps() -> None:
    detections, listening = [0, 0, 1, 4, 8, 0], [0.0, 1.0, 1.0, 1.0, 1.0, 0.001]
    assert sparkline(detections, listening) == " .▁▄█ "
    assert sparkline([0, 0], [1.0, 0.5]) == ".."
    assert sparkline([1], [0.0]) == "█"


def test_a_link_whose_radios_name_themselves_is_no_antenna(tmp_path: Path) -> None:
    path = tmp_path / "marsh.db"
    for antenna, detections in (("", 0), ("1", 3), ("2", 0)):
        listened(path, 1, detections, 3600, antenna)
    told = [line.split(":")[0] for line in status("--db", path).splitlines() if "nothing" in line]
    assert [line.split() for line in told] == [["antenna", "1"], ["antenna", "2"]]


def test_without_a_daemon_the_store_tells(db: Path) -> None:
    told = status("--db", db)
    assert "not running" in told
    assert "north: 78664C33 -70 dBm at 20" in told
    # The hour may end between writing and reading.
    assert "▁█.  ▁| 91 detections in 24 h" in told or "▁█.  ▁ | 91" in told
    assert max(map(len, told.splitlines())) <= 80


def test_json_keeps_the_keys_that_scripts_know(db: Path) -> None:
    told = json.loads(status("--db", db, "--json"))
    assert set(told) >= KEYS_OF_OLD
    assert told["now"] is None
    assert told["running"] is False
    (hours,) = told["last_24_hours"]
    assert (sum(hours["detections"]), len(hours["listening"])) == (91, 24)
    assert told["bytes_per_day"] > 0
    assert told["days_left"] > 0
    assert told["set_aside"] == []


def test_the_configuration_names_the_store_too(db: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "a.toml"
    configuration.write_text(f'[station]\nid = "marsh"\n[store]\npath = "{db}"\n')
    assert status("-c", configuration) == status("--db", db) or "78664C33" in status(
        "-c", configuration
    )


def test_what_was_deleted_or_set_aside_is_shown(db: Path) -> None:
    with Store.open(db) as store, store.transaction() as connection:
        connection.execute("INSERT INTO rows_pruned VALUES ('detections', 5, 3)")
    db.with_name("marsh.db.damaged-20260512T120000Z").touch()
    told = status("--db", db)
    assert "5 acknowledged detections, 3 unacknowledged detections" in told
    assert "marsh.db.damaged-20260512T120000Z" in told


def test_many_shapes_of_unknown_frames_leave_room_for_the_rest(db: Path) -> None:
    keep(db, *(Unknown(reason="not-hex", raw=b"!" * number) for number in range(1, 30)))
    told = status("--db", db)
    assert "and 24 rarer shapes" in told
    assert len(told.splitlines()) < 24
    assert len(json.loads(status("--db", db, "--json"))["unknown_frames"]) == 29


def test_a_store_without_anything_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    Store.open(path, station_id="marsh").close()
    told = status("--db", path)
    assert "0 detections" in told
    assert "no reserve" in told


def test_a_radio_without_dbm_tells_what_it_hears_over_its_noise(tmp_path: Path) -> None:
    path = tmp_path / "sdr.db"
    keep(path, msgspec.structs.replace(detection(), rssi_dbm=None, snr_db=18.4), antenna="roof")
    assert "roof: 78664C33 18 dB over noise at 20" in status("--db", path)
    assert json.loads(status("--db", path, "--json"))["last_heard"][0]["snr_db"] == 18.4


def test_an_antenna_is_told_once_with_its_newest_row_however_many_files_it_is_of(
    tmp_path: Path,
) -> None:
    path = tmp_path / "imported.db"
    of_files = [
        Source(link="ch1", decoder="ctt/1", antenna="north", import_id=number) for number in (1, 2)
    ]
    now_ns = time.time_ns()
    with Store.open(path, station_id="marsh") as store:
        for source, ago_s in ((of_files[1], 10), (of_files[0], 1000)):  # The newer file came first.
            stamp = Stamp(now_ns - ago_s * 10**9, "file")
            store.append([Arrival(detection(f"{ago_s:08X}"), source, stamp)])
        impossible = Stamp(now_ns + 10**18, "implausible")
        strange = msgspec.structs.replace(of_files[0], import_id=3)
        store.append([Arrival(detection("000007E4"), strange, impossible)])
    (heard,) = json.loads(status("--db", path, "--json"))["last_heard"]
    assert (heard["link"], heard["antenna"], heard["tag_id"]) == ("ch1", "north", "0000000A")


def test_noise_is_told_in_the_unit_that_the_radio_knows(db: Path) -> None:
    quiet = AntennaSnapshot(
        link="a", antenna="north", detections_by_hour=(0,) * 24, listening_by_hour=(1.0,) * 24
    )
    antennas = tuple(
        msgspec.structs.replace(quiet, link=f"stick{number}", **told)
        for number, told in enumerate(
            (
                {"noise_dbm": -101.52},
                {"noise_dbfs": -19.28, "gain_db": 36.4},
                {"noise_dbm": -110.0, "noise_dbfs": -20.0, "gain_db": 30.0},
            )
        )
    )
    now = msgspec.structs.replace(NOW, antennas=antennas)
    lines = list(screen(json.loads(status("--db", db, "--json")) | {"host": now.host}, now))
    assert [line.strip() for line in lines if "noise -" in line] == [
        "noise -101.5 dBm",
        "noise -19.3 dB relative to full scale, gain 36.4 dB",
        "noise -110.0 dBm, gain 30.0 dB",
    ]


NOW = StationSnapshot(
    station="marsh",
    version="0.1.0",
    started="2026-05-12T11:00:00.000000Z",
    uptime_s=90_000,
    clock=ClockSnapshot(time="2026-05-12T12:00:00.000000Z", quality="gps"),
    store=StoreSnapshot(
        path="a.db", state="writing", store_uuid="u", bytes=1, free_bytes=10**9, disk_bytes=1
    ),
)
HOSTILE = "\x1b]0;owned\x07\u202eevil\n"


def test_all_that_the_running_daemon_tells_is_on_the_screen_and_stays_text(db: Path) -> None:
    now = StationSnapshot(
        station="marsh",
        version="0.1.0",
        started="2026-05-12T11:00:00.000000Z",
        uptime_s=90_000,
        clock=ClockSnapshot(
            time="2026-05-12T12:00:00.000000Z", quality="gps", steps=2, gps="3D fix"
        ),
        store=StoreSnapshot(
            path=str(db), state="writing", store_uuid="u", bytes=1, free_bytes=10**9, disk_bytes=1
        ),
        links=(
            LinkSnapshot(
                name="ch1",
                kind="serial",
                state="silent",
                reason=HOSTILE,
                firmware="4.0.0",
                frames=100,
                unknown_frames=7,
                last_heard_s=75,
            ),
        ),
        sinks=(
            SinkSnapshot(
                name="home",
                kind="http",
                state="refused",
                reason="401",
                advice="check the token",
                waiting_rows=12,
                acknowledged_at="2026-05-12T11:00:00.000000Z",
                rows_refused=2,
            ),
        ),
        host=HostSnapshot(
            temperature_c=61.2, voltage_v=4.91, undervoltage=True, throttled=True, load_1min=0.5
        ),
        alarms=(
            AlarmSnapshot(
                alarm="disk-low", subject="", since="x", message="the disk is low", do="free it"
            ),
            AlarmSnapshot(
                alarm="beacon-missing", subject="78664C33", since="x", message="away", do="look"
            ),
        ),
    )
    stored = json.loads(status("--db", db, "--json")) | {"host": now.host}
    lines = list(screen(stored, now))
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) <= 80
    told = " ".join(" ".join(lines).split())
    for words in (
        "running for 1 d, version 0.1.0",
        "ALARM disk-low: the disk is low -> free it",
        "ALARM beacon-missing 78664C33: away -> look",
        "gps at 2026-05-12T12:00:00Z; 3D fix; 2 steps since the start",
        "61 °C, 4.91 V, undervoltage now, slowed down, load 0.50",
        "\\x1b]0;owned\\x07\\u202eevil",
        "heard 1 min ago, 7 of 100 unreadable",
        "home: refused, 401, 12 rows wait, acknowledged last 2026-05-12T11:00:00Z, 2 rows refused",
        "check the token",
    ):
        assert words in told


@pytest.fixture
async def station(tmp_path: Path, plug_in: PlugIn) -> AsyncIterator[StationProcess]:
    """A running station that has heard a tag with a name."""
    radio = plug_in()
    station = StationProcess(
        tmp_path, [serial_link("ch1", radio.device, 'antenna = "north"')], commit_interval_s=0.05
    )
    (tmp_path / "names.csv").write_text(f"tag_id,name\n{id_from_number(1)},Greta\n")
    text = station.configuration.read_text(encoding="utf-8")
    station.configuration.write_text(
        f'{text}[page]\nport = 0\n[tags]\nnames_file = "names.csv"\n', encoding="utf-8"
    )
    await station.start_and_hear()
    radio.say(beep(1))
    yield station
    station.kill()


async def test_a_running_daemon_is_asked(
    station: StationProcess, tmp_path: Path, until: Until
) -> None:
    await until(lambda: station.has_store() and station.detections())
    done = run_stopover("status", "-c", station.configuration, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "running for" in done.stdout
    assert "ch1: hearing" in done.stdout
    assert f"north: {id_from_number(1)} (Greta) -70 dBm" in done.stdout
    done = run_stopover("status", "--db", station.store, "--json", folder=tmp_path)
    told = json.loads(done.stdout)
    assert told["running"] is True
    assert told["now"]["station"] == "marsh"
    assert told["now"]["links"][0]["state"] == "hearing"
