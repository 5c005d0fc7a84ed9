"""A packet that a software radio heard, read again from the bytes that were kept of it.

What the samples told is not in the bytes: score, levels and frequency stay what they were. Layout:
`protocols.ctt.extended`, or the id alone where nothing vouched for the CRC.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from protocols.ctt.extended import PayloadCodecs, read_air_packet
from protocols.ctt.readings import PROTOCOL_434
from protocols.declared_payloads import DeclaredPayload
from protocols.radio.heard_packet import LEVELS_HEARD, MEASURED
from protocols.records import Detection, Record, Unknown

_BELIEVED_BY_SCORE = ("verified", "unverified")


class KeptPackets:
    """Decodes the kept bytes of CTT packets; needs no samples and no numpy."""

    def __init__(self, codecs: PayloadCodecs | None = None) -> None:
        """`codecs` read the payloads of data tags."""
        self._codecs = codecs or PayloadCodecs()

    @classmethod
    def with_payloads(cls, declared: Sequence[DeclaredPayload]) -> Self:
        """Return a decoder with an owner's payload layouts.

        Raises:
            ProtocolError: as `PayloadCodecs`.
        """
        return cls(PayloadCodecs.of(declared))

    def decode(self, body: bytes) -> tuple[Record, ...]:
        """Return the detection that the bytes alone tell of; never raises."""
        air = read_air_packet(body)
        if air is None:
            return (Unknown(reason="length", raw=body),)
        detection = Detection(
            protocol=PROTOCOL_434,
            tag_id=air.tag_id,
            integrity=air.integrity,
            id_legal=air.id_legal,
            measurements=self._codecs.measurements(air),
            payload=air.payload,
            raw=body,
        )
        return (detection,)


def with_what_was_heard(
    told: Mapping[str, Any], kept: Mapping[str, Any], *, reads_payloads: bool
) -> dict[str, Any]:
    """Return the fields that bytes told, with those of the kept row that only its samples told.

    A right checksum does not change `integrity`: whether to believe it was weighed with the score.
    Where no payloads are read, what a payload told once is kept.
    """
    fields = dict(told) | {name: kept[name] for name in LEVELS_HEARD}
    if told["integrity"] == "verified" and kept["integrity"] in _BELIEVED_BY_SCORE:
        fields["integrity"] = kept["integrity"]
    heard = {
        name: value
        for name, value in kept["measurements"].items()
        if name in MEASURED or not reads_payloads
    }
    fields["measurements"] = heard | told["measurements"]
    return fields
