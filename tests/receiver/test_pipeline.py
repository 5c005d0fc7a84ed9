"""The way of a frame: everything heard becomes a row or a counter, whatever the bytes are."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.ctt.packet import build_packet
from protocols.framing import cobs_encode
from protocols.records import Detection, RadioInfo
from protocols.station_link.bodies import Modulation, Packet
from protocols.station_link.frames import build_frame
from receiver import waiting_rows
from receiver.activity import Activity, LinkActivity
from receiver.arrivals import Arrival, Source, Stamp
from receiver.clock import Clock
from receiver.intakes.messages import MessageIntake
from receiver.intakes.stream import StreamIntake
from receiver.limits import ANTENNAS_TOLD, LIVE_PLACES
from receiver.links.intake import LinkStatus
from receiver.live import LiveRing
from receiver.pipeline import Pipeline
from receiver.settings import MqttLink, MqttTopic, SerialLink
from receiver.store.activity_queries import hours_listened
from receiver.store.queries import DetectionFilter, Reader
from receiver.store.writer import Batch, Writer

BEEP = b"78664C3304,-75\r\n"


class Station:
    """A pipeline with a real store, and what it counted."""

    def __init__(self, path: Path, *, commit_interval_s: float = 60) -> None:
        self.path = path
        self.clock = Clock(quality=lambda: "ntp")
        self.writer = Writer(path, "marsh")
        self.activity = Activity(self.clock.stamp().utc_ns)
        self.pipeline = Pipeline(
            self.clock, self.writer, self.activity, commit_interval_s=commit_interval_s
        )
        self.status = LinkStatus("ch1")

    def serial(self, antenna: str | None = "north") -> StreamIntake:
        """Return the intake of a serial link."""
        link = SerialLink(name="ch1", device="/dev/none", antenna=antenna)
        return StreamIntake(self.pipeline, link, self.status)

    def mqtt(self, *topics: MqttTopic) -> MessageIntake:
        """Return the intake of an MQTT link."""
        link = MqttLink(name="field", broker="mqtt://localhost", topics=topics)
        return MessageIntake(self.pipeline, link, self.status)

    async def end(self) -> dict[str, int]:
        """Drain and return what the store holds."""
        self.pipeline.flush(with_activity=True)
        assert await self.writer.stop(5) == 0
        with Reader(self.path) as reader:
            return reader.counts()

    def rejects(self) -> dict[str, int]:
        """Return the counters of drops that went to the store."""
        with Reader(self.path) as reader:
            (hour,) = hours_listened(reader, DetectionFilter())
        rejects: dict[str, int] = hour["rejects"]
        return rejects


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    made = Station(tmp_path / "marsh.db")
    made.writer.start()
    yield made
    await made.writer.stop(5)


async def test_a_line_becomes_a_row_with_link_antenna_and_raw(station: Station) -> None:
    station.serial().received(BEEP)
    assert (await station.end())["detections"] == 1
    with Reader(station.path) as reader:
        (row,) = reader.detections(DetectionFilter())
    assert (row["link"], row["antenna"], row["tag_id"]) == ("ch1", "north", "78664C33")
    assert (row["integrity"], row["time_quality"], row["decoder"]) == ("verified", "ntp", "ctt/1")
    assert bytes.fromhex(row["raw"]) == BEEP.rstrip()


async def test_replies_come_back_to_the_link_in_order(station: Station) -> None:
    records = station.serial().received(BEEP + b'{"name":"R","firmware":"4.0.0"}\r\n')
    assert [type(record) for record in records] == [Detection, RadioInfo]


async def test_an_interrupted_line_is_forgotten_and_counted(station: Station) -> None:
    intake = station.serial()
    intake.received(b"78664C33")
    intake.interrupted()
    intake.received(BEEP)
    assert (await station.end())["detections"] == 1
    assert station.rejects() == {"skipped_bytes": 8}


async def test_what_a_link_turned_away_is_counted_once(station: Station) -> None:
    station.serial()
    station.status.turned_away["retained"] += 2
    station.pipeline.flush(with_activity=True)
    await station.end()
    assert station.rejects() == {"retained": 2}


async def test_unknown_frames_are_kept_to_a_bound_and_counted_beyond(station: Station) -> None:
    intake = station.serial()
    for number in range(100):
        intake.received(b"not a line %d\r\n" % number)
    counts = await station.end()
    assert counts["unknown_frames"] == 60
    assert sum(station.rejects().values()) == 100


async def test_a_batch_is_committed_when_its_interval_is_over(tmp_path: Path) -> None:
    station = Station(tmp_path / "marsh.db", commit_interval_s=0.05)
    committed = asyncio.Event()
    submit = station.writer.submit

    def note(batch: Batch) -> None:
        batch.on_durable = [*batch.on_durable, committed.set]
        submit(batch)

    station.writer.submit = note  # type: ignore[method-assign]
    station.writer.start()
    station.serial().received(BEEP)
    assert station.pipeline.waiting_rows == 1
    await asyncio.wait_for(committed.wait(), 10)
    assert station.pipeline.waiting_rows == 0
    await station.end()


async def test_a_message_is_told_durable_only_when_its_row_is_in_the_store(
    station: Station,
) -> None:
    intake = station.mqtt(MqttTopic(topic="a/+/lines", decoder="ctt", antenna="west"))
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_durable() -> None:
        with Reader(station.path) as reader:
            told.set_result(reader.counts()["detections"])

    intake.message("a/b/lines", BEEP + BEEP, on_durable)
    assert not told.done()
    # The batch is 60 s long; a broker that waits for its acknowledgement makes it shorter.
    assert await asyncio.wait_for(told, 10) == 2
    await station.end()


async def test_a_message_of_nothing_worth_keeping_is_told_durable_too(station: Station) -> None:
    intake = station.mqtt(MqttTopic(topic="a", decoder="ctt"))
    told = asyncio.Event()
    intake.message("a", b"", told.set)
    await asyncio.wait_for(told.wait(), 10)
    assert await station.end() == dict.fromkeys(await station_tables(station), 0)


async def station_tables(station: Station) -> list[str]:
    with Reader(station.path) as reader:
        return list(reader.counts())


async def test_a_topic_without_a_decoder_is_counted_and_acknowledged(station: Station) -> None:
    intake = station.mqtt(MqttTopic(topic="a", decoder="ctt"))
    told = asyncio.Event()
    intake.message("elsewhere", BEEP, told.set)
    assert told.is_set()
    await station.end()
    assert station.rejects() == {"no_decoder_for_topic": 1}


async def test_the_first_matching_topic_names_the_antenna(station: Station) -> None:
    intake = station.mqtt(
        MqttTopic(topic="a/west", decoder="ctt", antenna="west"),
        MqttTopic(topic="a/#", decoder="ctt", antenna="rest"),
    )
    for topic in ("a/west", "a/east"):
        intake.message(topic, BEEP, lambda: None)
    await station.end()
    with Reader(station.path) as reader:
        assert [row["antenna"] for row in reader.detections(DetectionFilter())] == ["west", "rest"]


async def test_without_a_disk_memory_is_bounded_and_the_drops_are_counted(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_rows, "MAX_WAITING_ROWS", 10)
    intake = station.serial()
    intake.received(BEEP * 7)
    intake.received(BEEP * 7)  # finds room for three, and is dropped whole
    intake.received(BEEP * 3)
    assert station.pipeline.waiting_rows == 10
    assert station.pipeline.heard.dropped_rows == 7
    assert (await station.end())["detections"] == 10
    assert station.rejects() == {"store_backlog": 7}


async def test_silence_leaves_an_activity_row_too(station: Station) -> None:
    station.serial()
    station.status.listening(now=True)
    await station.end()
    with Reader(station.path) as reader:
        (hour,) = hours_listened(reader, DetectionFilter())
    assert (hour["antenna"], hour["frames"], hour["detections"]) == ("north", 0, 0)
    assert hour["listening_s"] >= 0


def test_a_new_hour_begins_its_own_counts() -> None:
    activity = Activity(7_199 * 10**9)
    link = LinkActivity(LinkStatus("ch1"), iter(["north"]))
    activity.links.append(link)
    link.of("north").detections += 3
    assert activity.seconds_to_full_hour(7_199 * 10**9) == 1
    (before,) = activity.rows(7_200 * 10**9)
    link.of("north").detections += 1
    (after,) = activity.rows(7_201 * 10**9)
    assert [(row.hour_utc_s, row.detections) for row in (before, after)] == [(3_600, 3), (7_200, 1)]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunks=st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_end_as_rows_or_counters(tmp_path: Path, chunks: list[bytes]) -> None:
    async def feed() -> None:
        path = tmp_path / "any.db"
        path.unlink(missing_ok=True)
        station = Station(path)
        station.writer.start()
        intake = station.serial()
        message = station.mqtt(MqttTopic(topic="#", decoder="ctt"))
        told = 0

        def on_durable() -> None:
            nonlocal told
            told += 1

        for chunk in chunks:
            intake.received(chunk)
            message.message("any/topic", chunk, on_durable)
        counts = await station.end()
        await asyncio.sleep(0)
        assert told == len(chunks)
        heard = station.pipeline.heard
        assert counts["detections"] == heard.detections
        assert station.pipeline.waiting_rows == 0

    run(feed)


def run(feed: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(feed())


async def test_a_commit_begins_early_enough_to_be_on_the_disk_within_its_interval(
    tmp_path: Path,
) -> None:
    station = Station(tmp_path / "marsh.db", commit_interval_s=60)
    station.writer.start()
    heard_at = asyncio.get_running_loop().time()
    station.serial().received(BEEP)
    assert 45 < station.pipeline._waiting.commit_at_s - heard_at < 55
    await station.end()


def test_lines_that_name_ever_more_radios_do_not_fill_the_memory() -> None:
    link = LinkActivity(LinkStatus("ch1"), iter(["north"]))
    for radio in range(10 * ANTENNAS_TOLD):
        link.of(f"radio {radio}").detections += 1
    assert len(link.antennas) == ANTENNAS_TOLD + 1
    assert sum(counts.detections for counts in link.antennas.values()) == 10 * ANTENNAS_TOLD


def test_what_is_heard_now_is_kept_of_a_bounded_number_of_antennas() -> None:
    live = LiveRing(kept=5)
    stamp = Stamp(0, "ntp", mono_ns=0)
    for radio in range(2 * LIVE_PLACES + 1):
        tag = Detection(
            protocol="ctt-434", tag_id="78664C33", integrity="verified", antenna=f"{radio}"
        )
        live.heard(Arrival(tag, Source(link="ch1", decoder="ctt/1"), stamp))
    assert len(live.newest) <= LIVE_PLACES
    assert [heard.number for heard in live.since(0)] == list(range(live.count - 4, live.count + 1))


async def test_each_radio_of_a_link_is_stored_under_its_owners_label(station: Station) -> None:
    link = SerialLink(
        name="open",
        device="/dev/null",
        decoder="station-link",
        antenna="north",
        antennas={"1": "south"},
    )
    intake = StreamIntake(station.pipeline, link, station.status)
    for radio in (0, 1, 2):
        packet = Packet(
            radio=radio,
            modulation=Modulation.CTT_FSK,
            frequency_hz=434_000_000,
            rssi_ddbm=-700,
            packet=build_packet("78664C33"),
        )
        intake.received(cobs_encode(build_frame(packet, seq=radio, uptime_us=radio)) + b"\0")
    await station.end()
    with Reader(station.path) as reader:
        heard = [row["antenna"] for row in reader.detections(DetectionFilter())]
        hours = {hour["antenna"] for hour in hours_listened(reader, DetectionFilter())}
    assert heard == ["north", "south", "2"]
    assert {"north", "south", "2"} <= hours
