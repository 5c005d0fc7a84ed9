"""vamp-alsa-host's output on a pseudo-terminal: the pulses of a station's VHF receivers.

    p<port>,ts,offset kHz,signal dB,noise dB

All receivers of a station share one stream and are told apart by their ports, as on a SensorGnome.
It only talks: what a host writes is not read. Source: tve/sensorgnome-control, vah.js.
"""

from simulator.pseudo_terminal import PseudoTerminal


class PulseStream:
    """One stream and its cable, on the running loop."""

    def __init__(self) -> None:
        self.lines_sent = 0
        self.lines_dropped = 0
        """Lines that nobody took: port closed, or buffer full."""
        self._cable = PseudoTerminal(_unread, _unmoved)

    @property
    def device(self) -> str:
        """The path to open."""
        return self._cable.device

    @property
    def is_open(self) -> bool:
        """Whether a host has the port open."""
        return self._cable.is_open

    def send(self, lines: bytes) -> bool:
        """Print the lines of a burst now; False, and counted, where nobody took them."""
        taken = self._cable.send(lines)
        count = lines.count(b"\n")
        self.lines_sent += count if taken else 0
        self.lines_dropped += 0 if taken else count
        return taken

    def unplug(self) -> None:
        """Leave the bus."""
        self._cable.close()


def _unread(_: bytes) -> None:
    """Let what a host writes pass."""


def _unmoved() -> None:
    """Remember nothing of a host that has gone."""
