"""Payload layouts that owners declared, on their way to the decoders that read such payloads.

A decoder whose packets carry a payload that only its owner knows has a class method beside its
constructor, which takes what was declared and picks what is its own:

    @classmethod
    def with_payloads(cls, declared: Sequence[DeclaredPayload]) -> Self: ...

`registry.DecoderEntry.made` calls it; a decoder without it is made as ever.
"""

from collections.abc import Mapping, Sequence

import msgspec

from protocols.payload_codec import PayloadCodec


class DeclaredPayload(msgspec.Struct, frozen=True, kw_only=True):
    """One layout (`codec`), or the name of one that the decoder brings (`named`), and its place."""

    protocol: str
    """As the detections name it: `ctt-434`, `ctt-2g4`, `lorawan`, or another package's own."""
    format: int | None = None
    """CTT data tags: the packet's format; Blu tags: the payload's revision."""
    subformat: int | None = None
    profile: str | None = None
    """LoRaWAN: the device profile; None means every device that no other declaration names."""
    f_port: int | None = None
    """LoRaWAN: None means every port that no other declaration names."""
    codec: PayloadCodec | None = None
    named: str | None = None


def layouts_of(
    declared: Sequence[DeclaredPayload], protocol: str
) -> Mapping[tuple[int, int | None], PayloadCodec]:
    """Return the layouts that one protocol's formats have, by (format, sub-format)."""
    return {
        (each.format, each.subformat): each.codec
        for each in declared
        if each.protocol == protocol and each.codec is not None and each.format is not None
    }
