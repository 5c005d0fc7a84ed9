"""stopover_link.h, compiled by the system's C compiler: byte for byte what Python says."""

import math
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from c_programs import FIRMWARE, compiled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.framing import CobsFramer, cobs_encode
from protocols.records import CommandReply, Detection, GpsFix, LogLine, Pulse, RadioInfo, Record
from protocols.station_link.bodies import (
    Ack,
    Body,
    Command,
    Gps,
    Hello,
    Log,
    Packet,
    PulseReading,
    Pulses,
    RadioReading,
    Reply,
    Status,
    Time,
)
from protocols.station_link.decoder import StationLinkDecoder
from protocols.station_link.frames import Frame, build_frame, parse_body, parse_frame

SERIAL, MQTT = 0, 1
AMPLE = 8192


@pytest.fixture(scope="module")
def frames_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = Path(__file__).parent / "firmware_frames.c"
    return compiled(source, tmp_path_factory.mktemp("firmware"))


@pytest.fixture(scope="module")
def device_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = FIRMWARE / "examples" / "linux_device.c"
    return compiled(source, tmp_path_factory.mktemp("device"))


class Job(msgspec.Struct, frozen=True):
    """One frame for the header to write."""

    body: Body
    seq: int
    uptime_us: int
    wrapping: int = SERIAL
    size: int = AMPLE

    def line(self) -> str:
        """Return the job as `firmware_frames write` takes it."""
        name = type(self.body).__name__.lower()
        fields = " ".join(_words(self.body))
        return f"{name} {self.wrapping} {self.size} {self.seq} {self.uptime_us} {fields}\n"

    def wire(self) -> bytes:
        """Return what Python writes for it."""
        frame = build_frame(self.body, seq=self.seq, uptime_us=self.uptime_us)
        return cobs_encode(frame) + b"\0" if self.wrapping == SERIAL else frame


NOT_MEASURED = {
    "battery_mv": 0xFFFF,
    "solar_mv": 0xFFFF,
    "width_us": 0xFFFF,
    "accuracy_mm": 0xFFFFFFFF,
    "frequency_error_hz": 0x7FFFFFFF,
    "altitude_mm": 0x7FFFFFFF,
}
NOT_MEASURED_I16 = 0x7FFF


def _words(value: msgspec.Struct) -> Iterator[str]:
    """Yield the fields of a body in their order, as the program takes them."""
    for name, field in msgspec.structs.asdict(value).items():
        if name == "rest":
            continue
        if isinstance(field, bytes):
            yield field.hex() or "-"
        elif isinstance(field, str):
            yield field.encode().hex() or "-"
        elif isinstance(field, tuple):
            yield str(len(field))
            for element in field:
                yield from _words(element)
        else:
            yield str(NOT_MEASURED.get(name, NOT_MEASURED_I16) if field is None else field)


def written(program: Path, jobs: list[Job]) -> list[bytes]:
    """Return what the header wrote for each job; b"" where it refused."""
    told = subprocess.run(
        [program, "write"],
        input="".join(job.line() for job in jobs),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.stderr == ""
    return [b"" if line == "-" else bytes.fromhex(line) for line in told.stdout.splitlines()]


class Chance:
    """Random bodies, the same in each run."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def number(self, bits: int, *, signed: bool = False) -> int:
        """Return a number that a field of so many bits holds, its ends more often."""
        lowest = -(1 << bits - 1) if signed else 0
        highest = (1 << (bits - 1 if signed else bits)) - 2
        ends = (lowest, highest, 0, 1)
        return self._random.choice((*ends, *(self._random.randint(lowest, highest),) * 4))

    def maybe(self, bits: int, *, signed: bool = False) -> int | None:
        """Return such a number, or that it was not measured."""
        return None if self._random.random() < 0.2 else self.number(bits, signed=signed)

    def octets(self, most: int) -> bytes:
        """Return bytes with many zeros, or none at all: both are hard for COBS."""
        size = self._random.randint(0, most)
        least = self._random.choice((0, 1))
        return bytes(max(least, self._random.randrange(-80, 256)) for _ in range(size))

    def text(self, most: int) -> str:
        """Return text, not all of it ASCII."""
        return "".join(
            self._random.choice("abc 123äß°") for _ in range(self._random.randint(0, most))
        )

    def bodies(self) -> list[Body]:
        """Return one body of each type."""
        return [
            Hello(
                uid=self.octets(255)[:8].ljust(8, b"\0"),
                firmware_major=self.number(8),
                firmware_minor=self.number(8),
                firmware_patch=self.number(8),
                reset_cause=self.number(8),
                boot_count=self.number(32),
                radios=self.number(8),
                name=self.text(100),
            ),
            Packet(
                radio=self.number(8),
                modulation=self.number(8),
                frequency_hz=self.number(32),
                rssi_ddbm=self.maybe(16, signed=True),
                snr_ddb=self.maybe(16, signed=True),
                frequency_error_hz=self.maybe(32, signed=True),
                packet=self.octets(255),
            ),
            Pulses(
                radio=self.number(8),
                frequency_hz=self.number(32),
                pulses=tuple(
                    PulseReading(
                        age_us=self.number(32),
                        offset_hz=self.number(32, signed=True),
                        signal_ddb=self.number(16, signed=True),
                        noise_ddb=self.maybe(16, signed=True),
                        width_us=self.maybe(16),
                    )
                    for _ in range(self._random.choice((0, 1, 4, 255)))
                ),
            ),
            Status(
                battery_mv=self.maybe(16),
                solar_mv=self.maybe(16),
                solar_ma=self.maybe(16, signed=True),
                temperature_cdeg=self.maybe(16, signed=True),
                dropped=self.number(32),
                queued=self.number(16),
                radios=tuple(
                    RadioReading(noise_ddbm=self.maybe(16, signed=True), packets=self.number(32))
                    for _ in range(self._random.randint(0, 5))
                ),
            ),
            Time(token=self.number(64)),
            Gps(
                unix_us=self.number(64, signed=True),
                latitude_1e7=self.number(32, signed=True),
                longitude_1e7=self.number(32, signed=True),
                altitude_mm=self.maybe(32, signed=True),
                fix=self.number(8),
                satellites=self.number(8),
                accuracy_mm=self.maybe(32),
                pps_uptime_us=self.number(64),
            ),
            Log(level=self.number(8), text=self.text(600)),
            Ack(seq=self.number(16)),
            Command(text=self.text(100)),
            Reply(text=self.text(100)),
        ]


def test_every_frame_is_the_same_in_c_and_in_python(frames_program: Path) -> None:
    chance = Chance(434)
    jobs = [
        Job(body, chance.number(16), chance.number(64), wrapping)
        for wrapping in (SERIAL, MQTT)
        for _ in range(60)
        for body in chance.bodies()
    ]
    for job, wire in zip(jobs, written(frames_program, jobs), strict=True):
        assert wire == job.wire(), job


def test_every_length_around_the_longest_run_of_cobs_is_the_same(frames_program: Path) -> None:
    jobs = [
        Job(Log(level=7, text="x" * length), seq=0x0101, uptime_us=0x0101010101010101)
        for length in (*range(220, 260), *range(480, 520))
    ]
    for job, wire in zip(jobs, written(frames_program, jobs), strict=True):
        assert wire == job.wire(), job


def test_a_buffer_of_the_documented_size_is_enough_and_one_byte_less_is_refused(
    frames_program: Path,
) -> None:
    chance = Chance(7)
    jobs = []
    for body in chance.bodies():
        job = Job(body, seq=1, uptime_us=2)
        needed = len(job.wire())
        plain = len(build_frame(body, seq=1, uptime_us=2))
        assert needed <= plain + math.floor(plain / 254) + 2
        jobs += [msgspec.structs.replace(job, size=size) for size in (needed, needed - 1, 0, 1)]
    sizes = [len(wire) for wire in written(frames_program, jobs)]
    assert sizes[0::4] == [len(job.wire()) for job in jobs[0::4]]
    assert set(sizes[1::4]) | set(sizes[2::4]) | set(sizes[3::4]) == {0}


def test_a_name_longer_than_its_length_byte_is_refused(frames_program: Path) -> None:
    (hello, *_) = Chance(3).bodies()
    too_long = msgspec.structs.replace(hello, name="n" * 256)
    assert written(frames_program, [Job(too_long, seq=0, uptime_us=0)]) == [b""]


def heard(program: Path, line: bytes, mode: str = "hear") -> list[str]:
    """Return what the header hears on a serial line."""
    told = subprocess.run([program, mode], input=line, capture_output=True, check=True, timeout=60)
    assert told.stderr == b""
    return told.stdout.decode().splitlines()


def sent(*bodies: Body) -> bytes:
    """Return the serial line on which the host says `bodies`."""
    return b"".join(
        cobs_encode(build_frame(body, seq=seq, uptime_us=0)) + b"\0"
        for seq, body in enumerate(bodies)
    )


def test_the_header_hears_acks_tokens_and_commands(frames_program: Path) -> None:
    line = sent(Ack(seq=0), Time(token=2**64 - 1), Command(text="preset fsktag"), Ack(seq=65_535))
    assert heard(frames_program, line) == [
        "ack 0",
        "time 18446744073709551615",
        "command preset fsktag",
        "ack 65535",
    ]


def test_longer_bodies_of_later_hosts_are_heard_all_the_same(frames_program: Path) -> None:
    line = sent(Ack(seq=5, rest=b"more"), Time(token=9, rest=b"\0\0"))
    assert heard(frames_program, line) == ["ack 5", "time 9"]


def test_a_command_longer_than_a_run_of_cobs_is_heard_where_there_is_room(
    tmp_path: Path,
) -> None:
    source = Path(__file__).parent / "firmware_frames.c"
    roomy = compiled(source, tmp_path, "-DSTOPOVER_COMMAND_MAX=600")
    for length in (253, 254, 255, 508, 600):
        assert heard(roomy, sent(Command(text="x" * length))) == ["command " + "x" * length]


def test_a_message_of_mqtt_is_read_as_it_stands(frames_program: Path) -> None:
    def read(body: Body) -> list[str]:
        return heard(frames_program, build_frame(body, seq=0, uptime_us=0), "message")

    assert read(Ack(seq=513)) == ["ack 513"]
    assert read(Command(text="y" * 128)) == ["command " + "y" * 128]
    assert read(Command(text="y" * 129)) == []
    assert heard(frames_program, b"\x01\x08", "message") == []


def test_what_is_damaged_too_long_or_for_hosts_is_passed_over(frames_program: Path) -> None:
    damaged = bytearray(sent(Ack(seq=1)))
    damaged[3] ^= 0x40
    line = (
        b"\0\0garbage\0"
        + bytes(damaged)
        + sent(Command(text="x" * 129))
        + b"\xff" * 2000
        + b"\0"
        + sent(Log(level=3, text="not for you"))
        + sent(Ack(seq=2))[:-4]
        + b"\0"
        + sent(Command(text="x" * 128), Ack(seq=3))
    )
    assert heard(frames_program, line) == ["command " + "x" * 128, "ack 3"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.lists(st.binary(max_size=300), max_size=8))
def test_any_bytes_harm_neither_memory_nor_the_next_frame(
    frames_program: Path, noise: list[bytes]
) -> None:
    line = b"".join(block + b"\0" + sent(Ack(seq=at)) for at, block in enumerate(noise))
    acks = [told for told in heard(frames_program, line) if told.startswith("ack ")]
    assert acks == [f"ack {at}" for at in range(len(noise))]


def answers(program: Path, mode: str, lines: str) -> list[int]:
    """Return what the program prints, a number a line."""
    told = subprocess.run(
        [program, mode], input=lines, capture_output=True, text=True, check=True, timeout=60
    )
    return [int(line) for line in told.stdout.splitlines()]


def test_uptime_counts_on_where_a_counter_of_32_bits_starts_again(frames_program: Path) -> None:
    readings = "5\n4294967295\n0\n7\n6\n"
    turn = 2**32
    assert answers(frames_program, "count", readings) == [
        5,
        turn - 1,
        turn,
        turn + 7,
        2 * turn + 6,
    ]


def test_an_ack_covers_what_was_sent_before_it_across_the_step_to_0(frames_program: Path) -> None:
    pairs = "5 5\n4 5\n6 5\n65535 3\n3 65535\n0 32767\n"
    assert answers(frames_program, "acked", pairs) == [1, 1, 0, 1, 0, 1]


class Device:
    """The example device as a process, on a pipe."""

    def __init__(self, program: Path, *, interval_ms: int) -> None:
        self._framer = CobsFramer()
        self._waiting: list[bytes] = []
        self.process = subprocess.Popen(
            [program, str(interval_ms), "9"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def say(self, *bodies: Body) -> None:
        """Send frames to the device."""
        assert self.process.stdin is not None
        self.process.stdin.write(sent(*bodies))
        self.process.stdin.flush()

    def frame(self) -> bytes:
        """Return the device's next frame."""
        assert self.process.stdout is not None
        while not self._waiting:
            chunk = os.read(self.process.stdout.fileno(), 4096)
            assert chunk, "the device ended"
            self._waiting += self._framer.feed(chunk)
        return self._waiting.pop(0)

    def until(self, kind: type[Body]) -> tuple[Frame, Body]:
        """Return the next frame that says such a body."""
        while True:
            frame = parse_frame(self.frame())
            assert isinstance(frame, Frame)
            body = parse_body(frame)
            if isinstance(body, kind):
                return frame, body

    def end(self) -> int:
        """Close the device's line and return how it ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        with self.process.stdout as rest:
            rest.read()
        return self.process.wait(timeout=20)


def test_the_example_device_says_every_kind_of_frame(device_program: Path) -> None:
    device = Device(device_program, interval_ms=1)
    device.say(Command(text="ping"))
    decoder = StationLinkDecoder()
    told: dict[type[Record], Record] = {}
    seqs = []
    kinds = {RadioInfo, Detection, Pulse, GpsFix, LogLine, CommandReply}
    while not kinds <= told.keys():
        frame = device.frame()
        parsed = parse_frame(frame)
        assert isinstance(parsed, Frame)
        seqs.append(parsed.seq)
        told |= {type(record): record for record in decoder.decode(frame)}
    assert device.end() == 0
    assert seqs == list(range(len(seqs)))
    tag = told[Detection]
    assert isinstance(tag, Detection)
    assert (tag.tag_id, tag.integrity, tag.rssi_dbm) == ("78554C33", "verified", -88.1)
    hello = told[RadioInfo]
    assert isinstance(hello, RadioInfo)
    assert (hello.measurements or {})["boot_count"] == 9
    reply = told[CommandReply]
    assert isinstance(reply, CommandReply)
    assert (reply.command, reply.ok) == ("ping", True)


def test_the_example_device_echoes_tokens_and_forgets_what_is_acknowledged(
    device_program: Path,
) -> None:
    device = Device(device_program, interval_ms=60_000)
    device.until(Status)
    device.say(Time(token=2**63 + 1))
    echo, body = device.until(Time)
    assert body == Time(token=2**63 + 1)
    device.say(Command(text="resend"))
    again, _ = device.until(Hello)
    assert again.seq == 0
    device.until(Time)
    device.say(Ack(seq=echo.seq), Command(text="queued"))
    _, body = device.until(Reply)
    assert body == Reply(text="queued ok 0")
    device.say(Command(text="dance"))
    _, body = device.until(Reply)
    assert body == Reply(text="dance error no such command")
    assert device.end() == 0


def test_the_header_is_also_cpp(tmp_path: Path) -> None:
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler: sudo apt-get install g++")
    source = tmp_path / "sketch.cpp"
    source.write_text('#include "stopover_link.h"\nint main() { return 0; }\n')
    strict = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
    subprocess.run([compiler, *strict, "-I", FIRMWARE, source], check=True, timeout=60)


def test_the_sketch_of_the_readme_compiles(tmp_path: Path) -> None:
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler: sudo apt-get install g++")
    page = (FIRMWARE / "README.md").read_text(encoding="utf-8")
    sketch = page.split("```cpp\n")[1].split("```")[0]
    assert len([line for line in sketch.splitlines() if line.strip()]) <= 22
    source = tmp_path / "sketch.cpp"
    source.write_text(ARDUINO + sketch)
    subprocess.run(
        [compiler, "-std=c++17", "-Wall", "-Werror", "-I", FIRMWARE, "-fsyntax-only", source],
        check=True,
        timeout=60,
    )


ARDUINO = """
#include <stddef.h>
#include <stdint.h>
struct SerialLine {
    void begin(long) {}
    int available() { return 0; }
    int read() { return -1; }
    size_t write(const uint8_t *, size_t size) { return size; }
};
static SerialLine Serial;
static uint32_t micros() { return 0; }
"""
"""As much of Arduino as the sketch uses."""
