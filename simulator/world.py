"""A world that happens: tags beep, nodes relay, radios print, one event after another.

Pure of I/O and of any real clock. Time is whole microseconds since the world began; what happens is
drawn from the seed, a separate stream of chance for each thing, so the same scenario gives the same
bytes. Whoever plays a world (`play.py`, the recorded files) takes its happenings in order of time.

Who can hear whom is found by place first: a tag out of everybody's reach costs next to nothing.
"""

import functools
import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

import msgspec

from protocols.ctt.packet import PACKET_BYTES
from simulator.air import FREQUENCY_HZ
from simulator.ears import Ears, NodeEars, RadioEars, printed_level
from simulator.firmware import believed_crc, passes_gate, printed_beep, understands_node
from simulator.hearing import Hearing
from simulator.line_noise import spoiled
from simulator.positions import Position, wrapped
from simulator.pulse_radio import (
    PULSES,
    air_temperature_c,
    burst_lines,
    frequency_offset_hz,
    noise_line,
)
from simulator.relaying import NODE_AIRTIME_US, NODE_PACKET_BITS, HeardBeep, NodeLife, NodePacket
from simulator.scenario import Scenario
from simulator.station_life import StationLife
from simulator.stations import Channel, Radio, Station
from simulator.sun import sun_elevation_deg
from simulator.tag_life import Beep, Moment, TagLife, Unheard, clouds_of
from simulator.tags import AIRTIME_US
from simulator.truth import OutOfReach, Receiver, Reception, Transmission

TAG_FREQUENCY_HZ: Final = FREQUENCY_HZ["434"]
NODE_FREQUENCY_HZ: Final = 433_250_000

PRINT_DELAY_US: Final = 1_500
"""From a packet's last bit to its line on the port: a Feather's 8 MHz processor and a USB frame.
As long a radio is deaf: its chip holds one packet."""
