"""The station link end to end: firmware on a pseudo-terminal or a broker, and the daemon."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import aiomqtt
import pytest
from brokers import Broker
from c_programs import FIRMWARE, compiled
from conftest import Until
from live_station import LiveStation
from station_process import StationProcess
from structlog.testing import capture_logs

from protocols.ctt.extended import build_extended_packet
from protocols.framing import CobsFramer, cobs_encode
from protocols.station_link.bodies import Ack, Body, Command, Hello, Log, Packet, Reply, Time
from protocols.station_link.frames import Frame, build_frame, parse_body, parse_frame
from receiver.arrivals import Stamp
from receiver.intakes.stream import StreamIntake
from receiver.links import station_links
from receiver.links.intake import LinkStatus
from receiver.links.mqtt import MqttLink as MqttLinkRunning
from receiver.links.serial import SerialLink, conversation_for, listener_of
from receiver.settings import MqttLink, MqttTopic
from receiver.settings import SerialLink as SerialSettings
from receiver.store.activity_queries import hours_listened
from receiver.store.database import Store
from receiver.store.queries import DetectionFilter, Reader
from receiver.store.status_queries import radios

KEPT_BY_THE_DEVICE = 64
S = 10**9


@pytest.fixture(scope="module")
def device_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = FIRMWARE / "examples" / "linux_device.c"
    return compiled(source, tmp_path_factory.mktemp("linux-device"))


class Device:
    """The example firmware as a process behind a pseudo-terminal."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._radio, self._port = pty.openpty()
        tty.setraw(self._port)
        self.port = os.ttyname(self._port)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, interval_ms: int, boot_count: int = 1) -> None:
        """Let it boot."""
        arguments = [str(interval_ms), str(boot_count)]
        self._process = subprocess.Popen(
            [self._program, *arguments], stdin=self._radio, stdout=self._radio
        )

    def stop(self) -> None:
        """Cut its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def unplug(self) -> None:
        """Cut its power and take its line away."""
        self.stop()
        os.close(self._radio)
        os.close(self._port)


PlugInDevice: TypeAlias = Callable[[], Device]


@pytest.fixture
def plug_in_device(device_program: Path) -> Iterator[PlugInDevice]:
    devices: list[Device] = []

    def plug() -> Device:
        devices.append(Device(device_program))
        return devices[-1]

    yield plug
    for device in devices:
        device.unplug()


def link_of(device: Device, *more: str) -> str:
    lines = (
        "[[links]]",
        'kind = "serial"',
        'name = "esp"',
        f'device = "{device.port}"',
        'decoder = "station-link"',
        *more,
        "",
    )
    return "\n".join(lines)


def counts(station: StationProcess) -> dict[str, int]:
    """Return how many rows of each kind there are, for kinds that are one row a frame."""
    with Reader(station.store) as reader:
        tables = reader.counts()
        kinds = reader.connection.execute("SELECT kind, count(*) FROM events GROUP BY kind")
        events = {kind: count for kind, count in kinds}  # noqa: C416  Rows are no pairs to mypy.
    return {
        "packet": tables["detections"],
        "pulses": tables["pulses"] // 4,
        "gps": tables["gps_fixes"] - 1,  # The station states its own position once.
        "log": events.get("LogLine", 0),
        "status": events.get("StationHealth", 0) // 2,
        "hello": events.get("RadioInfo", 0),
    }


async def test_the_daemon_hears_every_frame_of_the_example_firmware(
    tmp_path: Path, plug_in_device: PlugInDevice, until: Until
) -> None:
    device = plug_in_device()
    link = link_of(device, 'antenna = "tower"')
    station = StationProcess(tmp_path, [link], commit_interval_s=0.2)
    Store.open(station.store, station_id="marsh").close()  # It is looked into from the start.
    try:
        await station.start_and_hear()
        device.start(interval_ms=20)
        await until(lambda: counts(station)["packet"] >= 100)
        device.stop()
        station.send(signal.SIGTERM)
        assert await station.ended() == 0
    finally:
        station.kill()
    heard = counts(station)
    assert heard["hello"] == 1
    others = [heard[kind] for kind in ("pulses", "gps", "log", "status")]
    assert max(others) - min(others) <= 1
    assert heard["packet"] - sum(others) in {0, 1}
    with Reader(station.store) as reader:
        (hour,) = hours_listened(reader, DetectionFilter())
        bodies = reader.connection.execute(
            "SELECT body FROM events WHERE kind = 'StationHealth' AND body LIKE '%dropped%'"
            " ORDER BY id"
        ).fetchall()
        row = next(reader.detections(DetectionFilter()))
    assert "lost_frames" not in hour["rejects"]
    # It keeps 64 frames: had it not forgotten what was acknowledged, it had dropped all others.
    dropped = json.loads(bodies[-1][0])["measurements"]["frames_dropped"]
    assert dropped < (2 * heard["packet"] - KEPT_BY_THE_DEVICE) / 4
    assert (row["tag_id"], row["integrity"], row["antenna"]) == ("78554C33", "verified", "tower")
    assert hour["antenna"] == "tower"
    assert (row["rssi_dbm"], row["frequency_offset_hz"]) == (-88.1, -1200)


async def test_a_command_is_answered_and_a_reboot_is_noticed(
    live: LiveStation, plug_in_device: PlugInDevice, until: Until
) -> None:
    device = plug_in_device()
    link = live.hear(SerialSettings(name="esp", device=device.port, decoder="station-link"))
    assert isinstance(link, SerialLink)
    status = live.statuses["esp"]
    await until(lambda: status.opened)
    device.start(interval_ms=20)
    await until(lambda: status.firmware == "linux-device 1.2.3")
    assert link.command("ping")
    await until(lambda: replies(live) == ["ping"])
    device.stop()
    device.start(interval_ms=20, boot_count=2)
    await until(lambda: len(hellos(live)) == 2)
    await live.end()
    assert "lost_frames" not in live.rejects()
    with Reader(live.path) as reader:
        assert radios(reader) == [
            {"link": "esp", "antenna": None, "name": "linux-device", "firmware": "1.2.3"}
        ]
    packets = [row["time"] for row in live.detections()]
    assert packets == sorted(packets)


def replies(live: LiveStation) -> list[str]:
    rows = live.rows("SELECT body ->> 'command' AS c FROM events WHERE kind = 'CommandReply'")
    return [row["c"] for row in rows]


def hellos(live: LiveStation) -> list[dict[str, Any]]:
    return live.rows("SELECT * FROM events WHERE kind = 'RadioInfo'")


class Firmware:
    """Numbers frames as firmware does."""

    def __init__(self) -> None:
        self.seq = 0

    def frame(self, body: Body, uptime_us: int, *, seq: int | None = None) -> bytes:
        """Return the next frame (or one of an older number) without COBS."""
        number = self.seq if seq is None else seq
        if seq is None:
            self.seq += 1
        return build_frame(body, seq=number, uptime_us=uptime_us)


def packet(number: int = 0) -> Packet:
    tag = bytes.fromhex("78554C3358") if not number else bytes([number]) * 5
    return Packet(radio=0, modulation=1, frequency_hz=434_000_000, packet=tag)


HELLO = Hello(
    uid=b"12345678",
    firmware_major=1,
    firmware_minor=0,
    firmware_patch=0,
    reset_cause=0,
    boot_count=1,
    radios=1,
    name="sim",
)


class Wire:
    """A serial link's intake with its conversation, fed by hand: the test is the port."""

    def __init__(self, live: LiveStation, talk: Literal["auto", "never"] = "auto") -> None:
        settings = SerialSettings(name="esp", device="/dev/none", decoder="station-link", talk=talk)
        self.status = LinkStatus("esp")
        conversation = conversation_for(settings, self.status)
        assert conversation is not None
        self.conversation = conversation
        self.intake = StreamIntake(live.pipeline, settings, self.status, listener_of(conversation))
        self.firmware = Firmware()
        self.now = asyncio.get_running_loop().time
        conversation.opened(self.now())

    def hear(self, *frames: bytes, at_ns: int | None = None) -> None:
        """Receive frames, read at a moment of CLOCK_BOOTTIME."""
        chunk = b"".join(cobs_encode(frame) + b"\0" for frame in frames)
        if at_ns is None:
            records = self.intake.received(chunk)
        else:
            records = self.intake.received_at(
                chunk, Stamp(1_700_000_000 * S + at_ns, "ntp", at_ns, "boot")
            )
        self.conversation.heard(records, self.now())

    def is_silent(self) -> bool:
        """Whether the link takes its receiver for a silent one."""
        return self.conversation.silent is not None

    def said(self) -> list[Body]:
        """Return what the host writes now."""
        step = self.conversation.step(max(self.now(), self.conversation.due or 0))
        return [body_of(frame) for frame in CobsFramer().feed(step.write)]


def body_of(encoded: bytes) -> Body:
    frame = parse_frame(encoded)
    assert isinstance(frame, Frame)
    body = parse_body(frame)
    assert body is not None
    return body


def acks(bodies: list[Body]) -> list[int]:
    return [body.seq for body in bodies if isinstance(body, Ack)]


async def test_a_frame_is_acknowledged_only_after_it_is_in_the_store(
    tmp_path: Path, until: Until
) -> None:
    live = LiveStation(tmp_path / "slow.db")
    wire = Wire(live)
    wire.hear(wire.firmware.frame(HELLO, 0), wire.firmware.frame(packet(), 1000))
    assert [type(body) for body in wire.said()] == [Time]
    await asyncio.sleep(0.1)  # Longer than the commit interval: only the disk is missing.
    assert acks(wire.said()) == []
    live.write()
    try:
        heard: list[int] = []

        def acknowledged() -> bool:
            heard.extend(acks(wire.said()))
            return 1 in heard

        await until(acknowledged)
        assert len(live.detections()) == 1
    finally:
        await live.end()


async def test_a_lost_frame_holds_the_acknowledgement_back_until_it_is_sent_again(
    live: LiveStation, until: Until
) -> None:
    wire = Wire(live)
    frames = [wire.firmware.frame(HELLO, 0)]
    frames += [wire.firmware.frame(packet(n), 1000 * n) for n in range(1, 5)]
    wire.hear(*frames[:2], *frames[3:])
    heard: list[int] = []

    def acknowledged(seq: int) -> bool:
        heard.extend(acks(wire.said()))
        return seq in heard

    await until(lambda: len(live.detections()) == 3)
    await until(lambda: acknowledged(1))
    assert max(heard) == 1
    wire.hear(frames[2])
    await until(lambda: acknowledged(4))
    # A frame that was there already is not kept twice; its receiver is told again.
    heard.clear()
    wire.hear(frames[4])
    await until(lambda: acknowledged(4))
    await live.end()
    assert len(live.detections()) == 4
    rejects = live.rejects()
    assert (rejects["lost_frames"], rejects["late_frames"]) == (1, 1)
    assert rejects["repeated_frame"] == 1


async def test_times_are_those_of_the_receivers_clock_once_a_token_came_back(
    live: LiveStation,
) -> None:
    wire = Wire(live)
    base_ns = 500 * S
    delays_ms = [19, 3, 17, 8, 12, 1, 20, 5, 14, 9]
    wire.hear(wire.firmware.frame(HELLO, 0), at_ns=base_ns + 2_000_000)
    wire.hear(
        wire.firmware.frame(Time(token=base_ns + 99_000_000), 100_000), at_ns=base_ns + S // 10
    )
    for number, delay_ms in enumerate(delays_ms, 1):
        uptime_us = 1_000_000 * number
        wire.hear(
            wire.firmware.frame(packet(), uptime_us),
            at_ns=base_ns + uptime_us * 1000 + delay_ms * 1_000_000,
        )
    # A frame that waited in a buffer for a minute.
    wire.hear(wire.firmware.frame(packet(), 11_000_000), at_ns=base_ns + 71 * S)
    await live.end()
    rows = live.rows("SELECT utc_ns, mono_ns FROM detections ORDER BY seq")
    errors_ms = [
        (row["mono_ns"] - base_ns - number * S) / 1e6 for number, row in enumerate(rows, 1)
    ]
    assert len(rows) == 11
    assert max(map(abs, errors_ms)) < 3
    assert all(row["utc_ns"] - row["mono_ns"] == 1_700_000_000 * S for row in rows)


async def test_without_an_echo_a_frame_has_the_time_of_its_arrival(live: LiveStation) -> None:
    wire = Wire(live)
    wire.hear(wire.firmware.frame(packet(), 5_000_000), at_ns=10 * S)
    wire.hear(wire.firmware.frame(packet(), 6_000_000), at_ns=12 * S)
    await live.end()
    rows = live.rows("SELECT mono_ns FROM detections ORDER BY seq")
    assert [row["mono_ns"] for row in rows] == [10 * S, 12 * S]


async def test_a_receiver_that_says_nothing_is_silent_until_it_is_heard(
    live: LiveStation,
) -> None:
    wire = Wire(live)
    conversation, start = wire.conversation, wire.now()
    with capture_logs() as log:
        for asked in range(4):
            conversation.step(start + 10 * asked + 0.1)
            assert not wire.is_silent()
        conversation.step(start + 40.2)
        conversation.step(start + 50.3)
        assert conversation.silent == "nothing came for 30 s, not even an echo of TIME"
        assert conversation.step(start + 60.4).reopen_after_s is not None
        wire.hear(b"noise")
        assert wire.is_silent()
        wire.hear(wire.firmware.frame(packet(), 1))
        assert not wire.is_silent()
    warnings = [line["event"] for line in log if line["log_level"] == "warning"]
    assert warnings == ["receiver silent", "receiver heard again"]


async def test_a_receiver_that_does_not_echo_has_a_problem_and_is_not_silent(
    live: LiveStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Wire(live)
    start = wire.now()
    for asked in range(5):
        monkeypatch.setattr(wire.conversation._receiver, "_now", lambda at=asked: start + 10 * at)  # type: ignore[attr-defined]
        wire.hear(wire.firmware.frame(packet(), asked))
        wire.conversation.step(start + 10 * asked + 0.1)
    assert wire.conversation.silent is None
    assert "does not echo TIME" in (wire.conversation.problem or "")
    wire.hear(wire.firmware.frame(Time(token=1), 9))
    assert wire.conversation.problem is None


async def test_a_receiver_that_is_not_to_be_written_to_is_heard_all_the_same(
    live: LiveStation,
) -> None:
    wire = Wire(live, talk="never")
    wire.hear(wire.firmware.frame(HELLO, 0), wire.firmware.frame(packet(), 1))
    assert wire.conversation.due is None
    await live.end()
    assert len(live.detections()) == 1


async def test_receivers_on_a_broker_are_answered_on_the_topic_beside_theirs(
    live: LiveStation, broker: Broker, until: Until
) -> None:
    live.hear(
        MqttLink(
            name="field",
            broker=broker.url,
            topics=(MqttTopic("stopover/+/frames", "station-link"),),
        )
    )
    await until(lambda: live.statuses["field"].opened)
    answers: dict[str, list[Body]] = {"heath": [], "fen": []}

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            name = str(message.topic).split("/")[1]
            assert isinstance(message.payload, bytes)
            answers[name].append(body_of(message.payload))

    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("stopover/+/host", qos=1)
        listener = asyncio.create_task(listen(client))
        for name in answers:
            firmware = Firmware()
            frames = [firmware.frame(HELLO, 0), firmware.frame(packet(), 1_000)]
            frames.append(firmware.frame(Log(level=6, text=name), 2_000))
            for frame in frames:
                await client.publish(f"stopover/{name}/frames", frame, qos=1)
        await until(lambda: all(2 in acks(bodies) for bodies in answers.values()))
        listener.cancel()
    assert all(isinstance(bodies[0], Time) for bodies in answers.values())
    await live.end()
    assert [row["tag_id"] for row in live.detections()] == ["78554C33"] * 2
    assert live.statuses["field"].firmware == "sim 1.0.0"


async def test_a_command_goes_to_one_receiver_behind_a_broker(
    live: LiveStation, broker: Broker, until: Until
) -> None:
    # So wide a subscription hears our own answers too: they are no receiver's frames.
    topics = (MqttTopic("stopover/#", "station-link"),)
    link = live.hear(MqttLink(name="field", broker=broker.url, topics=topics))
    assert isinstance(link, MqttLinkRunning)
    await until(lambda: live.statuses["field"].opened)
    assert not link.command("stopover/heath/frames", "ping")
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("stopover/heath/host", qos=1)
        firmware = Firmware()
        await client.publish("stopover/heath/frames", firmware.frame(HELLO, 0), qos=1)
        await until(lambda: live.statuses["field"].firmware)
        assert link.command("stopover/heath/frames", "ping")
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            if body_of(message.payload) == Command(text="ping"):
                break
        reply = firmware.frame(Reply(text="ping ok"), 5)
        await client.publish("stopover/heath/frames", reply, qos=1)
        await until(lambda: replies(live) == ["ping"])
    await live.end()
    assert "lost_frames" not in live.rejects()
    assert live.rows("SELECT * FROM unknown_frames") == []


async def test_receivers_beyond_the_bound_are_forgotten_and_counted(
    live: LiveStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(station_links, "STATION_LINK_RECEIVERS", 2)
    status = LinkStatus("field")
    receivers = station_links.StationLinks("field", status)
    for name in ("a", "b", "a", "c", "a"):
        receivers.message(f"{name}/frames", Firmware().frame(HELLO, 0), live.clock.stamp())
    assert status.turned_away["receivers_forgotten"] == 1
    assert list(receivers._receivers) == ["c/frames", "a/frames"]


async def test_a_data_tag_is_read_by_the_layout_that_the_owner_declared(
    tmp_path: Path, plug_in_device: PlugInDevice
) -> None:
    device = plug_in_device()
    codec = """
[[codecs]]
protocol = "ctt-434"
format = 5
fields = [
    { name = "temperature_c", type = "i16le", scale = 0.01 },
    { name = "battery_v", type = "u16le", scale = 0.001 },
]
"""
    station = StationProcess(tmp_path, [codec + link_of(device)], commit_interval_s=0.2)
    payload = bytes.fromhex("0CFE780C")
    long_packet = build_extended_packet("78554C33", form=5, payload=payload)
    body = Packet(radio=0, modulation=1, frequency_hz=434_000_000, packet=long_packet)
    frame = build_frame(body, seq=0, uptime_us=5)
    try:
        await station.start_and_hear()
        os.write(device._radio, cobs_encode(frame) + b"\0")
        await station.tells(1, "tag heard first")
        station.send(signal.SIGTERM)
        assert await station.ended() == 0
    finally:
        station.kill()
    (row,) = station.detections()
    told = row["measurements"]
    assert (told["temperature_c"], told["battery_v"], told["format"]) == (-5.0, 3.192, 5)
    assert row["payload"] == payload.hex()
