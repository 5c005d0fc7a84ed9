"""The payload layouts of the configuration as the decoders take them."""

from collections.abc import Iterable, Iterator

from protocols.ctt.readings import PROTOCOL_2G4, PROTOCOL_434
from protocols.declared_payloads import DeclaredPayload
from protocols.errors import ProtocolError
from protocols.lorawan import CODECS, PROTOCOL
from protocols.payload_codec import PayloadCodec
from receiver.settings import Codec

_CTT_FORMATS = range(1, 16)


def declared(codecs: Iterable[Codec]) -> tuple[DeclaredPayload, ...]:
    """Return what the decoders are given.

    Raises:
        ProtocolError: fields that are no payload.
    """
    return tuple(
        DeclaredPayload(
            protocol=each.protocol,
            format=each.format,
            subformat=each.subformat,
            profile=each.profile,
            f_port=each.f_port,
            codec=PayloadCodec(each.fields) if each.fields else None,
            named=each.codec,
        )
        for each in codecs
    )


def contradictions(codecs: Iterable[Codec]) -> Iterator[tuple[str, str]]:
    """Yield (key, complaint) for what types cannot say."""
    places: set[tuple[object, ...]] = set()
    for number, each in enumerate(codecs):
        at = f"codecs[{number}]"
        try:
            declared([each])
        except ProtocolError as error:
            yield f"{at}.fields", str(error)
        if bool(each.fields) == bool(each.codec):
            yield f"{at}.fields", "say what the payload is: either fields, or codec"
        if each.protocol == PROTOCOL:
            if each.codec is not None and each.codec not in CODECS:
                yield f"{at}.codec", f"there is none called {each.codec!r}: {', '.join(CODECS)}"
        elif each.protocol == PROTOCOL_434 and each.format not in _CTT_FORMATS:
            yield f"{at}.format", "say which packets of ctt-434: a format of 1 to 15"
        elif each.protocol == PROTOCOL_2G4 and each.format is None:
            yield f"{at}.format", "say which payloads of ctt-2g4: a revision of 0 to 255"
        place = (each.protocol, each.format, each.subformat, each.profile, each.f_port)
        if place in places:
            yield f"{at}.protocol", "two codecs are for the same payloads: remove one of them"
        places.add(place)
