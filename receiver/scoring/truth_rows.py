"""Truth files, as far as scoring needs them: one JSON object a line, told apart by `kind`.

The rows are explained, with their JSON Schema, where they are made; keys that are not named here
are left alone, so that truth files may grow.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec

Place: TypeAlias = tuple[str | None, str]
"""(station, radio), or (None, node)."""


class TruthError(Exception):
    """A truth file that cannot be used; the message names file, line and what is wrong."""


class Receiver(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="receiver"):
    """One radio of a station, or a node."""

    station: str | None
    receiver: str
    radio_kind: str
    antenna: str | None
    port: int
    recorded_as: str

    @property
    def place(self) -> Place:
        """Who it is."""
        return self.station, self.receiver


class Transmission(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="transmission"):
    """One packet on the air."""

    number: int
    sender_kind: str
    sender: str
    what: str
    relays: int | None = None


class Reception(msgspec.Struct, kw_only=True, tag_field="kind", tag="reception"):
    """What one receiver made of it."""

    transmission: int
    heard_at_unix_s: float
    station: str | None
    receiver: str
    received: str | None
    outcome: str
    could_be_heard: bool
    stamped_unix_s: float | None = None
    is_stored: bool = False
    """Set here, once a detection was found for what the radio took."""
    is_heard_better: bool = False
    """The same where the radio lost it or took it wrong, and the detection has the right id."""


class OutOfReach(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="out-of-reach"):
    """Transmissions that nobody could hear."""

    sender: str
    transmissions: int


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """A whole truth file."""

    receivers: tuple[Receiver, ...]
    sent: dict[int, Transmission]
    receptions: tuple[Reception, ...]
    out_of_reach: dict[str, int]
    """Transmissions by tag."""

    def true_tag(self, transmission: int) -> str | None:
        """Return the tag whose beep it was, also through a node; None for all else."""
        told = self.sent[transmission]
        if told.relays is not None:
            told = self.sent[told.relays]
        return told.sender if told.sender_kind == "tag" else None

    def senders(self) -> frozenset[str]:
        """Return every tag that was ever on the air."""
        tags = {each.sender for each in self.sent.values() if each.sender_kind == "tag"}
        return frozenset(tags | set(self.out_of_reach))


def read_truth(path: Path) -> Truth:
    """Return what a truth file tells.

    Raises:
        TruthError: it cannot be read, or a line is no row of the truth.
    """
    try:
        with path.open("rb") as file:
            return _gathered(path, file)
    except OSError as error:
        raise TruthError(f"{path}: {error.strerror or error}") from error


def _gathered(path: Path, lines: Iterable[bytes]) -> Truth:
    receivers: list[Receiver] = []
    sent: dict[int, Transmission] = {}
    receptions: list[Reception] = []
    out_of_reach: dict[str, int] = {}
    for row in _rows(path, lines):
        if isinstance(row, Reception):
            receptions.append(row)
        elif isinstance(row, Transmission):
            sent[row.number] = row
        elif isinstance(row, OutOfReach):
            out_of_reach[row.sender] = out_of_reach.get(row.sender, 0) + row.transmissions
        else:
            receivers.append(row)
    for number, reception in enumerate(receptions, start=1):
        if reception.transmission not in sent:
            raise TruthError(
                f"{path}: reception {number} is of transmission {reception.transmission}, which "
                "is not told: is the file whole?"
            )
    return Truth(
        receivers=tuple(receivers),
        sent=sent,
        receptions=tuple(receptions),
        out_of_reach=out_of_reach,
    )


def _rows(
    path: Path, lines: Iterable[bytes]
) -> Iterator[Receiver | Transmission | Reception | OutOfReach]:
    decoder = msgspec.json.Decoder(Receiver | Transmission | Reception | OutOfReach)
    for number, line in enumerate(lines, start=1):
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TruthError(f"{path}, line {number}: no row of a truth file: {error}") from error
