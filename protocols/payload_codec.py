"""Payload layouts that owners declare in their configuration: a row of numbers, both ways.

No payload of a data tag is standardised, so a layout is a list of fields, one after another from
the payload's first byte:

    fields = [
        { name = "pressure_pa",   type = "u24le", scale = 1,    offset = 0 },
        { name = "temperature_c", type = "i16le", scale = 0.01, offset = 0 },
        { name = "",              type = "u8" },                                # passed over
    ]

A measurement is number · scale + offset, in the unit that stands in its name. Types are `u8`, `i8`,
`u16`, `i16`, `u24`, `i24`, `u32`, `i32` and `f32`, those of several bytes with `le` or `be`.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from construct import (
    BytesInteger,
    Float32b,
    Float32l,
    Int8sb,
    Int8ub,
    Int16sb,
    Int16sl,
    Int16ub,
    Int16ul,
    Int32sb,
    Int32sl,
    Int32ub,
    Int32ul,
    Struct,
)

from protocols.errors import EncodeError, PacketError, ProtocolError
from protocols.layouts import build, parse
from protocols.records import Measurements

NUMBER_TYPES: Final[Mapping[str, Any]] = {
    "u8": Int8ub,
    "i8": Int8sb,
    "u16le": Int16ul,
    "u16be": Int16ub,
    "i16le": Int16sl,
    "i16be": Int16sb,
    "u24le": BytesInteger(3, swapped=True),
    "u24be": BytesInteger(3),
    "i24le": BytesInteger(3, signed=True, swapped=True),
    "i24be": BytesInteger(3, signed=True),
    "u32le": Int32ul,
    "u32be": Int32ub,
    "i32le": Int32sl,
    "i32be": Int32sb,
    "f32le": Float32l,
    "f32be": Float32b,
}
"""The numbers that a declared field may be."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_DECIMALS: Final = 9
"""Scaling by 0.1 must not print 20.100000000000001; no sensor resolves a billionth of its unit."""


class PayloadField(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a declared payload; an empty name passes over it."""

    name: str
    type: str
    scale: float = 1
    offset: float = 0


class PayloadCodec:
    """Reads and writes one declared payload."""

    def __init__(self, fields: Sequence[PayloadField]) -> None:
        """Take the fields in their order.

        Raises:
            ProtocolError: no field, an unknown type, a scale of 0, or a name that is no measurement
                name or comes twice.
        """
        names = [field.name for field in fields if field.name]
        for field in fields:
            if field.type not in NUMBER_TYPES:
                raise ProtocolError(
                    f"type: {field.type!r} is none of {', '.join(sorted(NUMBER_TYPES))}"
                )
            if not field.scale or not math.isfinite(field.scale + field.offset):
                raise ProtocolError(f"scale: {field.name or 'a field'} needs one that is not 0")
            if field.name and not _NAME.fullmatch(field.name):
                raise ProtocolError(
                    f"name: {field.name!r} must be lower case with its unit, like temperature_c"
                )
        if not names or len(set(names)) != len(names):
            raise ProtocolError("fields: a payload needs at least one name, and each only once")
        self.fields = tuple(fields)
        self._layout = Struct(
            *(f"f{place}" / NUMBER_TYPES[field.type] for place, field in enumerate(fields))
        )
        self.payload_bytes: int = self._layout.sizeof()
        """How many bytes the fields take; a longer payload is read, a shorter one is not."""

    @classmethod
    def declared(cls, fields: object) -> "PayloadCodec":
        """Return the codec for `fields` as a configuration file gives them: a list of tables.

        Raises:
            ProtocolError: as the constructor, and where a table has other keys or types.
        """
        try:
            converted = msgspec.convert(fields, list[PayloadField])
        except msgspec.ValidationError as error:
            raise ProtocolError(f"fields: {error}") from error
        return cls(converted)

    def measurements(self, payload: bytes) -> Measurements | None:
        """Return what the payload tells, or None where it is shorter than the fields.

        A float that is no number is left out.
        """
        try:
            numbers = parse(self._layout, payload)
        except PacketError:
            return None
        told = {}
        for place, field in enumerate(self.fields):
            value = numbers[f"f{place}"] * field.scale + field.offset
            if field.name and math.isfinite(value):
                told[field.name] = round(value, _DECIMALS)
        return told

    def payload(self, measurements: Mapping[str, float]) -> bytes:
        """Return the payload that tells `measurements`; what is passed over is 0.

        Raises:
            EncodeError: a measurement is missing or does not fit its type.
        """
        numbers = {}
        for place, field in enumerate(self.fields):
            if field.name and field.name not in measurements:
                raise EncodeError(f"{field.name}: the payload needs it")
            value = (measurements[field.name] - field.offset) / field.scale if field.name else 0
            numbers[f"f{place}"] = value if field.type.startswith("f") else round(value)
        return build(self._layout, numbers)
