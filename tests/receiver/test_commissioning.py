"""Commissioning as a state machine: what each step sees, what it changes, what it leaves behind."""

import datetime as dt
import os
import subprocess
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from small_disks import small_disk

from receiver import config
from receiver.commissioning.machine import LONGEST_ANSWER, Commissioning
from receiver.commissioning.progress import Progress
from receiver.commissioning.state import CommissioningError, Moment, StepState
from receiver.health.snapshot import (
    AntennaSnapshot,
    ClockSnapshot,
    LinkSnapshot,
    SinkSnapshot,
    StationSnapshot,
    StoreSnapshot,
)
from receiver.live import LiveDetection
from receiver.serial_ports import SerialDevice
from receiver.settings import SerialLink, Settings
from receiver.store.database import Store

if TYPE_CHECKING:
    from protocols.records import LogLine

NOON = dt.datetime(2026, 5, 12, 12, tzinfo=dt.UTC)
RADIO = SerialDevice(
    device="/dev/ttyACM0",
    by_path=("/dev/serial/by-path/usb-0:1.2",),
    usb_id="239a:800c",
    product="Feather 32u4",
)
TAG = "78664C33"
HOSTILE = '<script>alert("x")</script>\x1b[31m'


def snapshot(**changes: object) -> StationSnapshot:
    values: dict[str, object] = {
        "station": "marsh",
        "version": "0.1.0",
        "started": "2026-05-12T11:00:00.000000Z",
        "uptime_s": 3600.0,
        "clock": ClockSnapshot(time="2026-05-12T12:00:00.000000Z", quality="ntp"),
        "store": StoreSnapshot(
            path="/x.db", state="writing", store_uuid="u", bytes=1, free_bytes=10**10, disk_bytes=1
        ),
    }
    return StationSnapshot(**(values | changes))  # type: ignore[arg-type]  # One test, one change.


def link(name: str, state: str) -> LinkSnapshot:
    return LinkSnapshot(name=name, kind="serial", state=state, firmware="4.0.0")


def heard(number: int, antenna: str, **changes: object) -> LiveDetection:
    values: dict[str, object] = {
        "number": number,
        "time": "2026-05-12T12:00:00Z",
        "time_quality": "ntp",
        "link": "ch1",
        "antenna": antenna,
        "protocol": "ctt-434",
        "tag_id": TAG,
        "tag_name": None,
        "is_known": False,
        "integrity": "verified",
        "id_legal": True,
        "rssi_dbm": -60.0 - number,
        "snr_db": None,
        "noise_dbm": None,
        "frequency_offset_hz": None,
        "relay_id": None,
        "interval_s": None,
    }
    return LiveDetection(**(values | changes))  # type: ignore[arg-type]  # One test, one change.


class Visited:
    """A commissioning of a station in a folder."""

    def __init__(self, folder: Path, text: str | None = None) -> None:
        self.path = folder / "stopover.toml"
        if text is not None:
            self.path.write_text(text, encoding="utf-8")
        self.notes: list[LogLine] = []
        self.reloads = 0
        self.devices = [RADIO]
        self.machine = Commissioning(
            self.path,
            note=self.notes.append,
            reload=self._reload,
            devices=lambda: self.devices,
            now=lambda: NOON,
        )
        self.moment = Moment()

    def _reload(self) -> None:
        self.reloads += 1

    def step(self, name: str, /, **answers: object) -> StepState:
        """Take answers; return how that step is then."""
        return self.answer(name, answers)

    def answer(self, name: str, answers: Mapping[str, object]) -> StepState:
        """Take answers whose names are no names of Python."""
        self.machine.step(name, answers, self.moment)
        return self.at(name)

    def at(self, name: str) -> StepState:
        """Return how a step is."""
        state = self.machine.state(self.moment)
        return next(step for step in state.steps if step.name == name)

    def settings(self) -> Settings:
        """Return what the configuration says now."""
        return config.load(self.path)


@pytest.fixture
def visit(tmp_path: Path) -> Visited:
    """A station that has the example's configuration."""
    return Visited(tmp_path, config.example("marsh"))


def test_a_new_station_waits_for_everything_and_has_no_file_yet(tmp_path: Path) -> None:
    visit = Visited(tmp_path)
    state = visit.machine.state(Moment())
    assert {step.name for step in state.steps if step.progress == "waiting"} == {
        "station",
        "radios",
        "antennas",
        "test-tag",
        "clock",
        "store",
        "visit",
    }
    assert all(step.do for step in state.steps if step.progress == "waiting")
    assert (state.is_running, state.is_finished, state.can_write) == (False, False, True)
    assert not visit.path.exists()


def test_id_and_place_are_written_where_the_example_explains_them(visit: Visited) -> None:
    assert visit.step("station", id="marsh-2", latitude="52,5", longitude="-4.25").progress == "ok"
    settings = visit.settings().station
    assert (settings.id, settings.latitude, settings.longitude) == ("marsh-2", 52.5, -4.25)
    lines = visit.path.read_text(encoding="utf-8").splitlines()
    at = lines.index("latitude = 52.5")
    assert lines[at - 1].startswith("# Degrees north")
    assert len(lines) == len(config.example("marsh").splitlines())


def test_comments_and_what_is_not_asked_about_stay(tmp_path: Path) -> None:
    text = '# mine\n[station]\nid = "a"  # why\n\n[log]\nlevel = "debug"   # loud\n'
    visit = Visited(tmp_path, text)
    visit.step("station", id="b", latitude="1", longitude="2")
    after = visit.path.read_text(encoding="utf-8")
    assert '# mine\n[station]\nid = "b"  # why\n' in after
    assert '[log]\nlevel = "debug"   # loud\n' in after


def test_the_old_configuration_stays_beside_the_new_one(visit: Visited) -> None:
    os.chmod(visit.path, 0o640)  # noqa: PTH101  Both forms are one call.
    before = visit.path.read_text(encoding="utf-8")
    visit.step("station", id="b")
    visit.step("station", id="c")
    kept = sorted(each.name for each in visit.path.parent.glob("*.before-*"))
    assert kept == ["stopover.toml.before-20260512"], "as it was before the visit"
    assert (visit.path.parent / kept[0]).read_text(encoding="utf-8") == before
    assert visit.path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in visit.path.parent.glob(".*")] == []


def test_a_configuration_that_would_be_wrong_is_not_written(visit: Visited) -> None:
    before = visit.path.read_bytes()
    for answers in ({"id": "two words"}, {"latitude": "91", "longitude": "0"}, {"latitude": "5"}):
        with pytest.raises(CommissioningError) as refused:
            visit.answer("station", answers)
        assert refused.value.do
    assert visit.path.read_bytes() == before
    assert visit.reloads == 0


def test_a_file_that_cannot_be_written_is_offered_as_text(
    visit: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("receiver.commissioning.config_file.tempfile.mkstemp", refused)
    with pytest.raises(CommissioningError, match="Read-only file system") as error:
        visit.step("station", id="marsh-3")
    assert error.value.text_to_save is not None
    assert config.parse(error.value.text_to_save, visit.path).station.id == "marsh-3"
    assert "sudo" in error.value.do


def test_a_read_only_root_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    with small_disk(tmp_path / "etc", 1) as disk:
        visit = Visited(disk.folder, config.example("marsh"))
        assert visit.machine.state(visit.moment).can_write
        remount = ["mount", "-o", "remount,ro", str(disk.folder)]
        subprocess.run(remount, check=True)
        assert not visit.machine.state(visit.moment).can_write
        with pytest.raises(CommissioningError, match="Read-only file system") as error:
            visit.step("station", id="fen")
        assert "fen" in (error.value.text_to_save or "")


def test_a_radio_that_is_plugged_in_becomes_a_link(visit: Visited) -> None:
    (device, name, *_) = visit.at("radios").questions
    assert [choice.value for choice in device.choices] == [RADIO.steady_name]
    assert name.default == "ch1"
    step = visit.step(
        "radios", device=RADIO.steady_name, name="ch1", antenna="north", preset="fsktag"
    )
    (added,) = visit.settings().links
    assert msgspec.structs.asdict(added)["device"] == RADIO.steady_name
    assert (added.name, step.progress) == ("ch1", "waiting")
    assert "no daemon runs" in step.found
    assert visit.at("radios").questions == ()


def test_a_blu_receiver_gets_its_own_decoder_and_no_preset(visit: Visited) -> None:
    visit.devices = [msgspec.structs.replace(RADIO, usb_id="0403:6015")]
    visit.step("radios", device=RADIO.device, name="blu", preset="fsktag")
    (added,) = visit.settings().links
    assert isinstance(added, SerialLink)
    assert (added.decoder, added.preset) == ("ctt-blu", "")


def test_a_new_file_can_be_read_by_the_group_of_its_folder(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("it takes root to give a folder to another group")
    folder = tmp_path / "etc"
    folder.mkdir()
    os.chown(folder, -1, 4242)
    visit = Visited(folder)
    visit.step("station", id="fen")
    status = visit.path.stat()
    assert (status.st_gid, status.st_mode & 0o777) == (4242, 0o640)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"device": "/dev/ttyUSB9", "name": "ch1"}, "not plugged in"),
        ({"device": RADIO.device, "name": ""}, "no name"),
    ],
)
def test_a_radio_must_be_there_and_have_a_name(
    visit: Visited, answers: dict[str, str], said: str
) -> None:
    with pytest.raises(CommissioningError, match=said):
        visit.answer("radios", answers)


def test_radios_are_seen_to_appear(visit: Visited) -> None:
    visit.step("radios", device=RADIO.device, name="ch1")
    seen = []
    for state in ("starting", "failed", "silent", "quiet", "hearing"):
        visit.moment = Moment(snapshot=snapshot(links=(link("ch1", state),)))
        step = visit.at("radios")
        assert "4.0.0" in step.found
        seen.append((step.progress, bool(step.do)))
    assert seen == [("waiting", True)] * 3 + [("ok", False)] * 2


def test_a_running_station_reads_every_change_again(visit: Visited) -> None:
    visit.moment = Moment(snapshot=snapshot())
    visit.step("station", id="marsh", latitude="1", longitude="2")
    visit.step("station", id="marsh", latitude="1", longitude="2")
    assert visit.reloads == 1
    assert visit.machine.state(visit.moment).needs_restart == ()
    visit.step("station", id="fen", latitude="1", longitude="2")
    assert visit.machine.state(visit.moment).needs_restart == ("station.id",)
    visit.moment = Moment(snapshot=snapshot(station="fen", started="2026-05-12T12:30:00Z"))
    assert visit.machine.state(visit.moment).needs_restart == ()


def test_antennas_get_names_bearings_and_kinds(visit: Visited) -> None:
    visit.step("radios", device=RADIO.device, name="ch1")
    assert [question.name for question in visit.at("antennas").questions] == [
        "antenna:ch1",
        "bearing:ch1",
        "kind:ch1",
    ]
    answers = {"antenna:ch1": "north", "bearing:ch1": "350", "kind:ch1": "yagi"}
    step = visit.answer("antennas", answers)
    assert (step.progress, step.found) == ("ok", "ch1: north yagi to 350°")
    visit.answer("antennas", {"bearing:ch1": ""})
    (antenna,) = visit.settings().antennas
    assert (antenna.name, antenna.bearing_deg, antenna.kind) == ("north", None, "yagi")
    with pytest.raises(CommissioningError, match="ch9"):
        visit.answer("antennas", {"antenna:ch9": "x"})
    with pytest.raises(CommissioningError):
        visit.answer("antennas", {"bearing:ch1": "400"})


def test_antennas_of_subscriptions_are_named_too(tmp_path: Path) -> None:
    visit = Visited(
        tmp_path,
        '[station]\nid = "a"\n[[links]]\nkind = "mqtt"\nname = "field"\n'
        'broker = "mqtt://localhost"\ntopics = [{ topic = "a", decoder = "ctt" }]\n',
    )
    step = visit.answer("antennas", {"antenna:field#0": "mast", "bearing:field#0": "10"})
    assert step.progress == "ok"
    assert visit.settings().links[0].topics[0].antenna == "mast"  # type: ignore[union-attr]


SEVERAL = """[station]
id = "a"
[[links]]
kind = "serial"
name = "ch1"
device = "/dev/ttyACM0"
decoder = "station-link"
antenna = "north"  # the first
antennas = { 1 = "south", 2 = "up" }
[[links]]
kind = "mqtt"
name = "field"
broker = "mqtt://localhost"
topics = [{ topic = "a", decoder = "chirpstack", antennas = { eui-1 = "mast" } }]
"""


def test_each_radio_of_a_link_and_of_a_subscription_has_an_antenna_of_its_own(
    tmp_path: Path,
) -> None:
    visit = Visited(tmp_path, SEVERAL)
    keys = ["ch1", "ch1/1", "ch1/2", "field#0/eui-1"]
    questions = [question.name for question in visit.at("antennas").questions]
    assert questions[::3] == [f"antenna:{key}" for key in keys]
    answers = {f"antenna:{key}": name for key, name in zip(keys, "abcd", strict=True)}
    step = visit.answer("antennas", answers | {"bearing:ch1/1": "180", "kind:ch1/1": "yagi"})
    assert step.found == (
        "ch1: a all around; ch1/1: b yagi to 180°; ch1/2: c all around; field#0/eui-1: d all around"
    )
    text = visit.path.read_text(encoding="utf-8")
    assert 'antenna = "a"  # the first\nantennas = { 1 = "b", 2 = "c" }' in text
    assert 'antennas = { eui-1 = "d" } }]' in text
    visit.step("test-tag", tag=TAG, packets=1)
    visit.moment = Moment(
        snapshot=snapshot(), heard=tuple(heard(n, name) for n, name in enumerate("abd", 1))
    )
    step = visit.at("test-tag")
    assert (step.progress, step.do) == ("waiting", "hold the tag near c")
    visit.moment = Moment(snapshot=snapshot(), heard=(heard(4, "c"),))
    assert visit.at("test-tag").progress == "ok"
    rows = [row for row in visit.machine.report_text(visit.moment).splitlines() if "packets" in row]
    assert [row[0] for row in rows[-4:]] == list("abcd")
    assert "b, bearing 180°, kind yagi, packets of the test tag 1" in rows[-3].replace("  ", ", ")
    visit.answer("antennas", {"antenna:ch1/2": "", "antenna:field#0/eui-1": ""})
    text = visit.path.read_text(encoding="utf-8")
    assert text.count("antennas = {") == 1, "the last label takes its table away"


def test_radios_of_a_link_that_are_heard_without_a_label_want_one(tmp_path: Path) -> None:
    link = SEVERAL.partition("antenna =")[0]
    visit = Visited(tmp_path, link)
    assert visit.at("antennas").found == "ch1: no name yet"
    radios = tuple(AntennaSnapshot(link="ch1", antenna=each) for each in ("0", "2", "10", None))
    visit.moment = Moment(snapshot=snapshot(antennas=radios))
    step = visit.at("antennas")
    assert (step.progress, step.found) == (
        "waiting",
        "ch1: no name yet; ch1/2: no name yet; ch1/10: no name yet",
    )
    visit.step("test-tag", tag=TAG, packets=1)
    assert visit.at("test-tag").do == "hold the tag near 0, 2, 10"
    names = {"antenna:ch1": "north", "antenna:ch1/2": "south", "antenna:ch1/10": "up"}
    step = visit.answer("antennas", names)
    assert step.progress == "ok"
    (told,) = visit.settings().links
    assert isinstance(told, SerialLink)
    assert (told.antenna, told.antennas) == ("north", {"2": "south", "10": "up"})
    keys = [question.name for question in visit.at("antennas").questions]
    assert keys[::3] == ["antenna:ch1", "antenna:ch1/2", "antenna:ch1/10"]
    assert visit.at("test-tag").do == "hold the tag near north, south, up"


def test_of_several_subscriptions_it_is_not_told_whose_radio_was_heard(tmp_path: Path) -> None:
    topics = 'topics = [{ topic = "a", decoder = "station-link", antenna = "mast" }'
    other = ', { topic = "b", decoder = "station-link" }]'
    link = f'[[links]]\nkind = "mqtt"\nname = "field"\nbroker = "mqtt://localhost"\n{topics}'
    heard_on = Moment(snapshot=snapshot(antennas=(AntennaSnapshot(link="field", antenna="1"),)))
    for more, found in (
        ("]", "field#0: mast; field#0/1: no name yet"),
        (other, "field#0: mast; field#1: no name yet"),
    ):
        visit = Visited(tmp_path, f'[station]\nid = "a"\n{link}{more}\n')
        visit.moment = heard_on
        assert visit.at("antennas").found == found


def with_two_antennas(visit: Visited) -> None:
    other = msgspec.structs.replace(RADIO, device="/dev/ttyACM1", by_path=())
    visit.devices.append(other)
    visit.step("radios", device=RADIO.device, name="ch1", antenna="north")
    visit.step("radios", device=other.device, name="ch2", antenna="south")


def test_the_test_tag_must_be_heard_on_every_antenna(visit: Visited) -> None:
    with_two_antennas(visit)
    visit.moment = Moment(snapshot=snapshot(), heard=(heard(1, "south"), heard(2, "south")))
    step = visit.answer("test-tag", {"tag": TAG.lower(), "packets": 2})
    assert "south: nothing yet" in step.found, "what was before the tag was named does not count"
    visit.moment = Moment(
        snapshot=snapshot(),
        heard=(
            heard(2, "south"),
            heard(3, "north"),
            heard(4, "north"),
            heard(5, "south"),
            heard(6, "south", relay_id="3796F5"),
            heard(7, "south", integrity="failed"),
            heard(8, "south", tag_id="61552D4C"),
        ),
    )
    step = visit.at("test-tag")
    assert (step.progress, step.do) == ("waiting", "hold the tag near south")
    assert "north: 2 packets, best -63 dBm; south: 1 packets, best -65 dBm" in step.found
    visit.moment = Moment(snapshot=snapshot(), heard=(heard(9, "south"),))
    assert visit.at("test-tag").progress == "ok"


def test_an_antenna_without_dbm_is_told_by_what_it_hears_over_its_noise() -> None:
    progress = Progress(NOON)
    progress.test_with(TAG, 2)
    levels: tuple[dict[str, object], ...] = (
        {"rssi_dbm": None, "snr_db": 12.0},
        {"rssi_dbm": None, "snr_db": 18.4},
        {},
    )
    for number, told in enumerate(levels, 1):
        progress.look(Moment(heard=(heard(number, "roof", **told),)))
        assert (
            progress.heard["roof"].best
            == ("12 dB over noise", "18 dB over noise", "-63 dBm")[number - 1]
        )


def test_another_daemon_numbers_its_packets_anew(visit: Visited) -> None:
    with_two_antennas(visit)
    visit.moment = Moment(snapshot=snapshot(), heard=(heard(500, "north"),))
    visit.answer("test-tag", {"tag": TAG, "packets": 1})
    later = snapshot(started="2026-05-12T12:30:00Z")
    visit.moment = Moment(snapshot=later, heard=(heard(1, "north"), heard(2, "south")))
    assert visit.at("test-tag").progress == "ok"


@pytest.mark.parametrize("answers", [{"tag": ""}, {"tag": TAG, "packets": "x"}])
def test_a_test_tag_needs_an_id_and_a_number(visit: Visited, answers: dict[str, str]) -> None:
    with pytest.raises(CommissioningError) as error:
        visit.answer("test-tag", answers)
    assert error.value.do


def test_a_tag_that_stays_becomes_a_beacon(visit: Visited) -> None:
    visit.answer("test-tag", {"tag": TAG, "beacon": "yes"})
    assert [beacon.tag for beacon in visit.settings().beacons] == [TAG]


def test_clock_and_store_are_judged_by_the_running_station(visit: Visited) -> None:
    bad = ClockSnapshot(time="2000-01-01T00:00:00Z", quality="unsynchronised")
    full = msgspec.structs.replace(snapshot().store, state="disk-full")
    visit.moment = Moment(snapshot=snapshot(clock=bad, store=full))
    assert [visit.at(name).progress for name in ("clock", "store")] == ["waiting", "waiting"]
    visit.moment = Moment(snapshot=snapshot())
    assert [visit.at(name).progress for name in ("clock", "store")] == ["ok", "ok"]


def test_the_first_upload_must_be_acknowledged(visit: Visited) -> None:
    text = visit.path.read_text(encoding="utf-8")
    visit.path.write_text(
        text + '\n[[sinks]]\nkind = "http"\nname = "home"\nurl = "https://example.org/b"\n',
        encoding="utf-8",
    )

    def sinks(**changes: object) -> Moment:
        values = {"name": "home", "kind": "http", "state": "away", "advice": "ring them up"}
        sink = SinkSnapshot(**(values | changes))  # type: ignore[arg-type]  # As above.
        return Moment(snapshot=snapshot(sinks=(sink,)))

    visit.moment = sinks(waiting_rows=5)
    assert visit.at("upload").do == "home: ring them up"
    visit.moment = sinks(waiting_rows=5, acknowledged_at="2026-05-12T11:59:59.000000Z")
    assert visit.at("upload").progress == "waiting"
    visit.moment = sinks(waiting_rows=5, acknowledged_at="2026-05-12T12:00:01.000000Z")
    assert visit.at("upload").progress == "ok"


def test_a_store_of_another_station_is_told(tmp_path: Path) -> None:
    visit = Visited(tmp_path, '[station]\nid = "marsh"\n')
    Store.open(tmp_path / "stopover.db", station_id="fen").close()
    step = visit.at("station")
    assert step.progress == "waiting"
    assert "begun as fen" in step.found
    assert "mv " in step.do


def test_steps_are_skipped_for_a_reason_and_taken_up_again(visit: Visited) -> None:
    assert visit.step("clock", skip="no sky yet").progress == "skipped"
    assert visit.at("clock").reason == "no sky yet"
    assert visit.step("clock", skip="").progress == "waiting"


def test_unknown_steps_and_endless_answers_are_refused(visit: Visited) -> None:
    for name, answers in (("sing", {}), ("visit", {"remarks": "x" * (LONGEST_ANSWER + 1)})):
        with pytest.raises(CommissioningError) as error:
            visit.answer(name, answers)
        assert error.value.do


def finished(visit: Visited) -> None:
    with_two_antennas(visit)
    visit.answer(
        "antennas",
        {
            "antenna:ch1": "north",
            "bearing:ch1": "0",
            "antenna:ch2": HOSTILE.replace("\x1b", ""),
            "kind:ch2": "omni",
        },
    )
    links = (link("ch1", "hearing"), link("ch2", "quiet"))
    visit.moment = Moment(snapshot=snapshot(links=links))
    visit.answer("test-tag", {"tag": TAG, "packets": 1})
    south = HOSTILE.replace("\x1b", "")
    visit.moment = Moment(
        snapshot=snapshot(links=links), heard=(heard(1, "north"), heard(2, south))
    )
    visit.answer("visit", {"technician": "A. Person", "remarks": HOSTILE})


class _Tags(HTMLParser):
    """Gathers the elements and attributes of a page, and checks that it is well-formed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.seen.add(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check it."""
        assert self.open.pop() == tag


def test_the_report_is_one_page_without_scripts_and_what_people_wrote_stays_text(
    visit: Visited,
) -> None:
    finished(visit)
    assert visit.machine.state(visit.moment).is_finished
    html = visit.machine.report_html(visit.moment, ["fault: ch1: <b>held</b> -> end it"])
    page = _Tags()
    page.feed(html)
    assert page.open == []
    assert "script" not in page.seen
    assert {name for name, _ in page.attributes} <= {
        "lang",
        "charset",
        "name",
        "content",
        "scope",
        "class",
    }
    assert "&lt;script&gt;" in html
    assert "\x1b" not in html
    assert "&lt;b&gt;held" in html
    for told in ("marsh", "north", "A. Person", "-61 dBm", "test tag"):
        assert told in html


def test_the_text_report_has_eighty_columns_and_the_same_facts(visit: Visited) -> None:
    finished(visit)
    text = visit.machine.report_text(visit.moment)
    assert max(map(len, text.splitlines())) <= 80
    assert all(each.isprintable() or each == "\n" for each in text)
    for told in ("Station marsh", "UTC", "north", "kind omni", TAG, "A. Person"):
        assert told in text
    assert "best level -61 dBm" in " ".join(text.split())


def test_the_end_is_noted_in_the_store_with_all_that_was_found(visit: Visited) -> None:
    finished(visit)
    visit.machine.step("finish", {}, visit.moment)
    (note,) = visit.notes
    assert note.message.startswith("commissioning of marsh by A. Person: 8 ok")
    assert msgspec.json.decode(note.raw)["station"] == "marsh"


def test_notes_and_reloads_can_be_asked_for_alone(visit: Visited) -> None:
    visit.machine.step("note", {"message": "ladder is loose"}, visit.moment)
    visit.machine.step("reload", {}, visit.moment)
    assert [note.message for note in visit.notes] == ["ladder is loose"]
    assert visit.reloads == 1


def test_the_state_is_json(visit: Visited) -> None:
    state = visit.machine.state(visit.moment)
    assert msgspec.json.decode(msgspec.json.encode(state), type=type(state)) == state
