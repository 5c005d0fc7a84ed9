"""A stick that is not there: a world's air as a stick tuned to it samples it, behind `rtl_tcp`.

Where it is tuned and its gain change what it hears, as they do of a real one: what is beside the
middle of its samples stands beside it, and too little gain drowns in the steps of the converter.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from protocols.rtl_tcp import SET_FREQUENCY, SET_GAIN
from simulator.air import FREQUENCY_HZ
from simulator.iq import RATE_HZ, IqTape, Samples, encoded
from simulator.iq_radio import iq_blocks, radio_called
from simulator.pulse_radio import TUNED_BELOW_HZ
from simulator.scenario import Scenario
from simulator.truth import TruthRow

if TYPE_CHECKING:
    from simulator.rtl_tcp_server import Command

BYTES_PER_S: Final = 2 * RATE_HZ
_PIECES_A_SECOND: Final = 4
_UNTUNED_PIECES: Final = 2
"""A client tunes the stick once it has been greeted: until then it hears noise."""
_USUAL_GAIN_DB: Final = 36.4
"""The gain at which the noise is as `simulator.iq` has it."""
_SPIKE: Final = np.complex64(0.1 + 0.05j)
"""What every such stick shows in the middle of its samples."""


class RtlStick:
    """Makes the samples of one radio's antenna for clients of `rtl_tcp`.

    `commands` are those that its clients sent, in order; set them before the first client comes.
    """

    def __init__(
        self,
        scenario: Scenario,
        receiver: str | None = None,
        *,
        witness: Callable[[TruthRow], None] | None = None,
        now_unix_s: Callable[[], float] = time.time,
    ) -> None:
        """`receiver` is `station/radio`, else the first; `witness` hears the first client's truth.

        Raises:
            ScenarioError: there is no such radio.
        """
        self.commands: Sequence[Command] = ()
        self.station, self.radio = radio_called(scenario, receiver)
        self.is_vhf = self.radio.band == "vhf"
        self.channel_hz = FREQUENCY_HZ[self.radio.band]
        self._scenario = scenario
        self._receiver = receiver
        self._witness = witness
        self._now_unix_s = now_unix_s
        self._noise = IqTape(scenario.seed)
        self._sampled = 0

    def blocks(self) -> Iterator[bytes]:
        """Yield what a client hears from now on, for as long as the world lasts."""
        for _ in range(_UNTUNED_PIECES):
            yield self._sampled_as_tuned(self._noise_for(RATE_HZ // _PIECES_A_SECOND))
        witness, self._witness = self._witness, None
        now = self._scenario.changed(start_unix_s=self._now_unix_s())
        for second in iq_blocks(now, self._receiver, form="cf32", witness=witness):
            samples = np.frombuffer(second, dtype=np.complex64)
            for piece_samples in np.array_split(samples, _PIECES_A_SECOND):
                yield self._sampled_as_tuned(piece_samples)

    def _sampled_as_tuned(self, air: Samples) -> bytes:
        """Return samples of the air as the stick is tuned by now."""
        told = {each.number: each.argument for each in self.commands}
        middle_hz = self.channel_hz - (TUNED_BELOW_HZ if self.is_vhf else 0)
        off_hz = middle_hz - told.get(SET_FREQUENCY, middle_hz)
        gain_db = told[SET_GAIN] / 10 if SET_GAIN in told else _USUAL_GAIN_DB
        at = np.arange(self._sampled, self._sampled + len(air))
        self._sampled += len(air)
        if abs(off_hz) >= RATE_HZ // 2:
            air = self._noise_for(len(air))  # Nothing of the channel is sampled.
        turned = air * np.exp(2j * np.pi * (off_hz % RATE_HZ) / RATE_HZ * at)
        amplified = turned * 10 ** ((gain_db - _USUAL_GAIN_DB) / 20) + _SPIKE
        return encoded(amplified.astype(np.complex64), "cu8")

    def _noise_for(self, count: int) -> Samples:
        return self._noise.take((self._noise.samples_taken + count) / RATE_HZ)
