"""What `rtl_tcp` speaks: a stick's samples over TCP, and the commands that tune it.

    greeting   0  4  "RTL0"                      once, from the server
               4  4  tuner, u32                  which chip receives: see `TUNERS`
               8  4  gains, u32                  how many steps of gain it has
    samples       2  I, Q as unsigned bytes      for ever
    command    0  1  number, u8                  from the client, at any time; never answered
               1  4  argument, u32               frequencies in Hz, gains in 0.1 dB; ppm is signed

All numbers are big-endian.

Source: osmocom's rtl_tcp.c (read for the format); the gains of each tuner as `rtl_test` prints
them.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from construct import Const, ConstructError, Int8ub, Int32ub, Struct

from protocols.errors import PacketError

GREETING: Final = Struct("magic" / Const(b"RTL0"), "tuner" / Int32ub, "gains" / Int32ub)
COMMAND: Final = Struct("number" / Int8ub, "argument" / Int32ub)

DEFAULT_PORT: Final = 1234

SET_FREQUENCY: Final = 0x01
SET_SAMPLE_RATE: Final = 0x02
SET_GAIN_MODE: Final = 0x03
"""1 takes the gain that is set, 0 leaves it to the tuner."""
SET_GAIN: Final = 0x04
SET_PPM: Final = 0x05
SET_AGC: Final = 0x08
"""The digital AGC behind the converter, which only hides how strong a signal is."""
SET_BIAS_TEE: Final = 0x0E

TUNER_R820T: Final = 5

_R82XX_DDB: Final = (
    *(0, 9, 14, 27, 37, 77, 87, 125, 144, 157, 166, 197, 207, 229, 254, 280, 297, 328, 338, 364),
    *(372, 386, 402, 421, 434, 439, 445, 480, 496),
)
_FC0013_DDB: Final = (
    *(-99, -73, -65, -63, -60, -58, -54, 58, 61, 63, 65, 67, 68, 70, 71, 179, 181, 182, 184, 186),
    *(188, 191, 197),
)
TUNERS: Final[Mapping[int, tuple[str, tuple[int, ...]]]] = MappingProxyType(
    {
        1: (
            "E4000",
            (-10, 15, 40, 65, 90, 115, 140, 165, 190, 215, 240, 290, 340, 420),
        ),
        2: ("FC0012", (-99, -40, 71, 179, 192)),
        3: ("FC0013", _FC0013_DDB),
        4: ("FC2580", (0,)),
        TUNER_R820T: ("R820T", _R82XX_DDB),
        6: ("R828D", _R82XX_DDB),
    }
)
"""Name and gains, 0.1 dB, of each tuner."""

SAMPLE_RATES_HZ: Final = ((225_001, 300_000), (900_001, 3_200_000))
"""What the chip behind every tuner can do. Source: osmocom's librtlsdr."""

GREETING_BYTES: Final = 12
_WORD: Final = 1 << 32


def tuner_of(greeting: bytes) -> tuple[str, tuple[float, ...]]:
    """Return the name of the stick's tuner and its gains in dB, none where it is not known.

    Raises:
        PacketError: this is no greeting of rtl_tcp.
    """
    try:
        told = GREETING.parse(greeting)
    except ConstructError as error:
        raise PacketError(f"no greeting of rtl_tcp: {greeting[:GREETING_BYTES]!r}") from error
    name, gains = TUNERS.get(told.tuner, (f"tuner {told.tuner}", ()))
    return name, tuple(gain / 10 for gain in gains)


def command(number: int, argument: int) -> bytes:
    """Return a command; a negative argument goes out as its two's complement."""
    built: bytes = COMMAND.build({"number": number, "argument": argument % _WORD})
    return built


def rate_and_frequency(*, frequency_hz: int, rate_hz: int, ppm: int) -> Iterator[bytes]:
    """Yield the commands without which samples are of no use.

    rtl_tcp streams from its greeting on, 2,048,000 samples a second of 100 MHz until it is told
    otherwise. The rate goes first: some tuners choose their filter when they are tuned.
    """
    yield command(SET_SAMPLE_RATE, rate_hz)
    yield command(SET_PPM, ppm)
    yield command(SET_FREQUENCY, frequency_hz)


def tuning(
    *, frequency_hz: int, rate_hz: int, ppm: int, gain_db: float | None, bias_tee: bool
) -> Iterator[bytes]:
    """Yield the commands that set a stick up; no `gain_db` leaves the gain to the tuner."""
    yield from rate_and_frequency(frequency_hz=frequency_hz, rate_hz=rate_hz, ppm=ppm)
    yield command(SET_AGC, 0)
    yield from gain_commands(gain_db)
    yield command(SET_BIAS_TEE, bias_tee)


def gain_commands(gain_db: float | None) -> Iterator[bytes]:
    """Yield the commands that set the gain; None leaves it to the tuner."""
    yield command(SET_GAIN_MODE, gain_db is not None)
    if gain_db is not None:
        yield command(SET_GAIN, round(10 * gain_db))
