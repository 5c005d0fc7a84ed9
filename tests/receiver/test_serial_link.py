"""Serial links on real pseudo-terminals."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
import serial
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pseudo_terminals import PseudoRadio, name_port
from structlog.testing import capture_logs

from protocols import registry
from protocols.framing import framer
from protocols.records import Detection, Record
from receiver.links.backoff import Backoff
from receiver.links.ctt_radio import CttConversation, CttTiming
from receiver.links.intake import LinkState, LinkStatus
from receiver.links.serial import SerialLink, conversation_for
from receiver.links.serial_port import SerialPort
from receiver.settings import SerialLink as Settings

Until: TypeAlias = Callable[[Callable[[], object]], Awaitable[None]]
PlugIn: TypeAlias = Callable[[], PseudoRadio]

BEEP = b"78664C3304,-75\r\n"
FIRMWARE = b'{"name":"SensorStationRadio","firmware":"4.0.0"}\r\n'
PRESET_SET = b'{"key":"preset","res":true}\r\n'
FAST = CttTiming(
    ask_after_s=0.02,
    answer_within_s=0.25,
    reopen_after_s=0.02,
    command_spacing_s=0.01,
    command_answer_s=0.25,
    silent_reopen_s=0.1,
)


class Intake:
    """Keeps what it was given, decoded."""

    def __init__(self) -> None:
        entry = registry.entry("ctt")
        self.received_bytes = b""
        self.chunks: list[bytes] = []
        self.records: list[Record] = []
        self.interruptions = 0
        self._framer = framer(entry.framing)
        self._decode = entry.make().decode

    def received(self, chunk: bytes) -> Sequence[Record]:
        """Keep and decode a chunk."""
        self.received_bytes += chunk
        self.chunks.append(chunk)
        records = [record for frame in self._framer.feed(chunk) for record in self._decode(frame)]
        self.records += records
        return records

    def interrupted(self) -> None:
        """Forget an unfinished frame."""
        self.interruptions += 1
        self._framer.reset()

    @property
    def tags(self) -> list[str]:
        """The tags of the detections so far."""
        return [record.tag_id for record in self.records if isinstance(record, Detection)]


class Running:
    """A link that runs on the test's loop, its waits in milliseconds."""

    def __init__(self, device: str | Path, **changes: object) -> None:
        poll_interval_s = changes.pop("poll_interval_s", 60)
        chosen = {"name": "ch1", "device": str(device), "talk": "never", **changes}
        self.settings = Settings(**chosen)  # type: ignore[arg-type]  # Each test names its own.
        self.intake = Intake()
        self.status = LinkStatus("ch1")
        self.link = SerialLink(
            self.settings,
            self.intake,
            self.status,
            backoff=Backoff(first_s=0.01, longest_s=0.05),
            write_stall_s=0.05,
            quiet_after_s=0.05,
        )
        conversation = CttConversation(self.settings, self.link._log, FAST)
        conversation._poll_interval_s = poll_interval_s  # type: ignore[assignment]
        self.link._conversation = conversation
        self.task = asyncio.ensure_future(self.link.run())

    async def stop(self) -> None:
        """End the link and wait until it has."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def run() -> AsyncIterator[Callable[..., Running]]:
    links: list[Running] = []

    def start(device: str | Path, **changes: object) -> Running:
        links.append(Running(device, **changes))
        return links[-1]

    yield start
    for link in links:
        await link.stop()


Run: TypeAlias = Callable[..., Running]


async def test_what_a_radio_says_arrives_and_the_link_is_hearing(
    plug_in: PlugIn, run: Run, until: Until
) -> None:
    radio = plug_in()
    link = run(radio.device)
    await until(lambda: link.status.state is LinkState.QUIET)
    radio.say(BEEP)
    await until(lambda: link.status.state is LinkState.HEARING)
    assert link.intake.tags == ["78664C33"]
    await until(lambda: link.status.state is LinkState.QUIET)


async def _until_received(link: Running, count: int) -> None:
    async with asyncio.timeout(60):
        while len(link.intake.received_bytes) < count:  # noqa: ASYNC110  Nobody announces it.
            await asyncio.sleep(0.001)


async def test_one_byte_at_a_time_gives_the_same_frames(
    plug_in: PlugIn, run: Run, until: Until
) -> None:
    radio = plug_in()
    link = run(radio.device)
    await until(lambda: link.status.opened)
    for place in range(len(BEEP)):
        radio.say(BEEP[place : place + 1])
        await _until_received(link, place + 1)
    assert link.intake.tags == ["78664C33"]
    assert len(link.intake.chunks) == len(BEEP)


async def test_garbage_neither_ends_the_link_nor_hides_the_next_tag(
    plug_in: PlugIn, run: Run, until: Until
) -> None:
    radio = plug_in()
    link = run(radio.device)
    await until(lambda: link.status.opened)
    noise = random.Random(1).randbytes(200_000)
    for start in range(0, len(noise), 2000):
        radio.say(noise[start : start + 2000])
        await _until_received(link, start + 2000)
    assert link.intake.received_bytes == noise
    radio.say(b"\n" + BEEP)
    await until(lambda: "78664C33" in link.intake.tags)
    assert link.status.opened == 1


async def test_a_device_that_is_missing_is_waited_for_and_told_of_once(
    tmp_path: Path, plug_in: PlugIn, run: Run, until: Until
) -> None:
    name = tmp_path / "by-path"
    with capture_logs() as log:
        link = run(name)
        await until(lambda: link.status.state is LinkState.FAILED)
        await asyncio.sleep(0.1)  # Several tries long.
        name_port(name, plug_in())
        await until(lambda: link.status.opened)
    told = [(line["event"], line["log_level"]) for line in log if line["log_level"] != "debug"]
    assert told == [("link lost", "warning"), ("link found again", "warning")]
    assert "stopover ports" in log[0]["advice"]
    assert link.status.reason is None


async def test_a_device_that_comes_back_under_another_number_is_found_by_its_name(
    tmp_path: Path, plug_in: PlugIn, run: Run, until: Until
) -> None:
    name = tmp_path / "by-path"
    first = plug_in()
    name_port(name, first)
    with capture_logs() as log:
        link = run(name)
        await until(lambda: link.status.opened)
        first.say(BEEP + b"78664C")
        await until(lambda: link.intake.tags)
        second = plug_in()
        first.unplug()
        name_port(name, second)
        assert second.device != first.device
        await until(lambda: link.status.opened == 2)
        second.say(BEEP)
        await until(lambda: len(link.intake.tags) == 2)
    # The half of a frame from before does not run into what came after.
    assert link.intake.tags == ["78664C33"] * 2
    assert link.intake.interruptions == 1
    told = [(line["event"], line["log_level"]) for line in log if line["log_level"] != "debug"]
    assert told == [
        ("link open", "info"),
        ("link lost", "warning"),
        ("link found again", "warning"),
    ]


async def test_an_unplugged_port_is_closed_at_once(plug_in: PlugIn, run: Run, until: Until) -> None:
    radio = plug_in()
    link = run(radio.device)
    await until(lambda: link.status.opened)
    assert _open_files().count(radio.device) == 2
    with capture_logs():
        radio.unplug()
        await until(lambda: link.status.state is LinkState.FAILED)
        # The radio's own one is kept, so that nobody else gets the number.
        await until(lambda: _open_files().count(f"{radio.device} (deleted)") == 1)


def _open_files() -> list[str]:
    names = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            names.append(str(descriptor.readlink()))
    return names


async def test_a_link_that_is_stopped_leaves_no_descriptor_behind(
    plug_in: PlugIn, run: Run, until: Until
) -> None:
    radio = plug_in()
    before = len(_open_files())
    link = run(radio.device)
    await until(lambda: link.status.opened)
    assert len(_open_files()) > before
    await link.stop()
    assert len(_open_files()) == before


async def test_a_port_serves_one_program(plug_in: PlugIn, run: Run, until: Until) -> None:
    radio = plug_in()
    first = run(radio.device)
    await until(lambda: first.status.opened)
    with pytest.raises(serial.SerialException):
        serial.Serial(radio.device, exclusive=True)
    second = run(radio.device)
    await until(lambda: second.status.state is LinkState.FAILED)
    assert "another program holds the port" in (second.status.reason or "")
    await first.stop()
    await until(lambda: second.status.opened)


@pytest.mark.parametrize("kind", ["folder", "file"])
async def test_what_is_no_serial_port_is_told_and_tried_again(
    kind: str, tmp_path: Path, run: Run, until: Until
) -> None:
    device = tmp_path / "device"
    if kind == "folder":
        device.mkdir()
    else:
        device.write_text("not a port")
    link = run(device)
    await until(lambda: link.status.state is LinkState.FAILED)
    assert "no serial port" in (link.status.reason or "")
    assert not link.task.done()


async def test_a_link_that_may_never_talk_writes_nothing(
    plug_in: PlugIn, run: Run, until: Until
) -> None:
    radio = plug_in()
    radio.listen()
    link = run(radio.device, talk="never", preset="fsktag")
    await until(lambda: link.status.opened)
    await asyncio.sleep(0.1)  # Longer than all times of the conversation.
    assert radio.told == []


async def test_a_radio_that_answers_is_set_to_its_preset_and_polled(
    plug_in: PlugIn, run: Run, until: Until
) -> None:
    radio = plug_in()
    radio.listen()
    radio.answer = lambda command: FIRMWARE if command == b"version" else PRESET_SET
    link = run(radio.device, talk="auto", preset="fsktag", poll_interval_s=0.05)
    await until(lambda: len(radio.told) >= 4)
    assert radio.told[:4] == [b"version", b"preset:fsktag", b"version", b"version"]
    assert link.status.firmware == "SensorStationRadio 4.0.0"
    assert link.status.opened == 1
    assert link.status.reason is None


async def test_a_preset_that_is_not_acknowledged_is_sent_again(
    plug_in: PlugIn, run: Run, until: Until
) -> None:
    radio = plug_in()
    radio.listen()

    def answer(command: bytes) -> bytes:
        if command == b"version":
            return FIRMWARE
        return PRESET_SET if radio.told.count(command) == 3 else b""

    radio.answer = answer
    link = run(radio.device, talk="auto", preset="fsktag")
    with capture_logs() as log:
        await until(lambda: any(line["event"] == "preset set" for line in log))
    assert radio.told == [b"version"] + [b"preset:fsktag"] * 3
    assert link.status.reason is None


async def test_a_refused_preset_is_seen_in_the_status(
    plug_in: PlugIn, run: Run, until: Until
) -> None:
    radio = plug_in()
    radio.listen()
    no = b'{"key":"preset","res":false,"err":"bad arg"}\r\n'
    radio.answer = lambda command: FIRMWARE if command == b"version" else no
    link = run(radio.device, talk="auto", preset="ooktag")
    await until(lambda: link.status.reason)
    assert link.status.reason == "preset ooktag is not set: bad arg"
    assert radio.told.count(b"preset:ooktag") == 3


async def test_an_old_dongle_that_hangs_when_written_to_is_reopened_and_left_in_peace(
    tmp_path: Path, plug_in: PlugIn, run: Run, until: Until
) -> None:
    name = tmp_path / "by-path"
    dongle = plug_in()
    name_port(name, dongle)
    dongle.listen()
    link = run(name, talk="auto", preset="fsktag")
    await until(lambda: dongle.told == [b"version"])  # From here on it hangs…
    await until(lambda: link.status.opened == 2)  # … until its port is opened again.
    dongle.say(BEEP)
    await until(lambda: link.intake.tags)
    assert link.status.state is LinkState.HEARING
    again = plug_in()
    again.listen()
    dongle.unplug()
    name_port(name, again)
    await until(lambda: link.status.opened == 3)
    await asyncio.sleep(0.1)  # Longer than all times of the conversation.
    assert again.told == []
    assert dongle.told == [b"version"]


async def test_a_radio_that_stops_to_answer_is_silent_reopened_and_found_again(
    plug_in: PlugIn, run: Run, until: Until
) -> None:
    radio = plug_in()
    radio.listen()
    radio.answer = lambda _: FIRMWARE
    link = run(radio.device, talk="auto", poll_interval_s=0.05)
    await until(lambda: len(radio.told) >= 2)
    radio.answer = lambda _: b""
    await until(lambda: link.status.state is LinkState.SILENT)
    assert "no answer" in (link.status.reason or "")
    await until(lambda: link.status.opened >= 2)
    link.status.take_listened_s()
    assert link.status.take_listened_s() == 0
    radio.answer = lambda _: FIRMWARE
    await until(lambda: link.status.state is LinkState.QUIET)
    assert link.status.reason is None


async def test_a_radio_that_takes_no_bytes_never_blocks_the_loop_and_is_reopened(
    plug_in: PlugIn, run: Run
) -> None:
    radio = plug_in()
    radio.fill()
    link = run(radio.device, talk="always", poll_interval_s=60)
    link.link._conversation._timing = CttTiming(ask_after_s=0.01, answer_within_s=30)  # type: ignore[union-attr]
    loop = asyncio.get_running_loop()
    longest, last = 0.0, loop.time()
    with capture_logs() as log:
        async with asyncio.timeout(60):
            while not any(line["event"] == "link lost" for line in log):
                await asyncio.sleep(0.001)
                longest, last = max(longest, loop.time() - last), loop.time()
    assert "took no bytes" in next(line["reason"] for line in log if "reason" in line)
    assert longest < 0.5


async def test_more_bytes_than_may_wait_count_as_a_hung_radio(plug_in: PlugIn) -> None:
    radio = plug_in()
    radio.fill()
    port = SerialPort.open(radio.device, 115_200)
    try:
        port.write(b"." * 4096)
        assert port.waiting_bytes == 4096
        with pytest.raises(OSError, match="takes no bytes"):
            port.write(b".")
    finally:
        port.close()


async def test_only_radios_that_understand_it_are_spoken_to() -> None:
    spoken_to = {"ctt": True, "ctt-blu": True, "station-link": True, "sensorgnome": False}
    for decoder, is_spoken_to in spoken_to.items():
        link = Settings(name="x", device="/dev/x", decoder=decoder)
        assert (conversation_for(link, LinkStatus("x")) is not None) is is_spoken_to


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(portions=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=8))
def test_any_bytes_arrive_unchanged(portions: list[bytes]) -> None:
    async def through_a_port() -> bytes:
        radio = PseudoRadio()
        link = Running(radio.device)
        try:
            async with asyncio.timeout(60):
                while not link.status.opened:  # noqa: ASYNC110  Nobody announces it.
                    await asyncio.sleep(0.001)
                for portion in portions:
                    radio.say(portion)
                await _until_received(link, sum(map(len, portions)))
        finally:
            await link.stop()
            radio.unplug()
        return link.intake.received_bytes

    assert asyncio.run(through_a_port()) == b"".join(portions)
