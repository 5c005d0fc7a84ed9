"""The JSON objects that CTT radios print, as typed shapes: read by the decoder, built by encoders.

    key         in        meaning
    protocol    G4        "1.0.0"; absent in G3
    rssi        G3        level of the last hop, dBm (also met inside `data`)
    meta        G4        data_type, rssi, source {type, id}, collection {id, count, idx}
    data        G3, G4    by data_type; without one, the G3 body
    firmware    replies   answer to `version`, with `name`
    key         replies   answer to a command: its name, with `res` (done or not) and `err`
    error       any       a failure of the radio itself

Numbers are bounded here, so that no damaged digit becomes a measurement; strings that name a tag or
a node are hex digits and nothing else. Keys that nobody documented are skipped: the raw line keeps
them.

Source: celltracktech.com station software and radio firmware notes; SensorGnome's dongle reader
(G3 with `error_bits`, and the form with `data.id` and no data_type).
"""

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from protocols.ctt.readings import LEVEL_MAX_DBM, LEVEL_MIN_DBM

_U32_MAX = 2**32 - 1
_QUANTITY_MAX = _U32_MAX

TagDigits: TypeAlias = Annotated[
    str, Meta(pattern=r"\A(?:[0-9A-Fa-f]{8}|[0-9A-Fa-f]{10})\Z", max_length=10)
]
"""A tag's id, followed by its CRC-8 where the radio found it right."""
BluDigits: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{8}\Z", max_length=8)]
NodeDigits: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{1,8}\Z", max_length=8)]
"""V1 nodes have 3 digits, V2 six, V3 up to eight; ES-200 tags are named the same way."""
ShortText: TypeAlias = Annotated[str, Meta(max_length=256)]
Level: TypeAlias = (
    Annotated[int, Meta(ge=LEVEL_MIN_DBM, le=LEVEL_MAX_DBM)]
    | Annotated[float, Meta(ge=LEVEL_MIN_DBM, le=LEVEL_MAX_DBM)]
)
Quantity: TypeAlias = (
    Annotated[int, Meta(ge=-_QUANTITY_MAX, le=_QUANTITY_MAX)]
    | Annotated[float, Meta(ge=-_QUANTITY_MAX, le=_QUANTITY_MAX)]
)
Count: TypeAlias = Annotated[int, Meta(ge=0, le=_U32_MAX)]
E6: TypeAlias = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]


class Source(msgspec.Struct, frozen=True):
    """Who sent what the radio heard, where that is not the tag itself."""

    type: str
    id: NodeDigits


class Collection(msgspec.Struct, frozen=True):
    """A node's bookkeeping of one burst of its transmissions."""

    id: Count
    count: Count
    idx: Count


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `meta` object of protocol 1.0.0."""

    data_type: str | None = None
    rssi: Level | None = None
    source: Source | None = None
    collection: Collection | None = None


NO_BODY = msgspec.Raw()


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One JSON line; `data` is read by the shape that `meta.data_type` names."""

    protocol: Any = None
    rssi: Level | None = None
    name: ShortText | None = None
    firmware: ShortText | None = None
    key: ShortText | None = None
    res: bool | None = None
    err: ShortText | None = None
    error: ShortText | None = None
    meta: Header | None = None
    data: msgspec.Raw = NO_BODY


class OriginalTag(msgspec.Struct, frozen=True, omit_defaults=True):
    """G3: a tag that the radio heard itself."""

    id: TagDigits
    error_bits: Count | None = None


class NodeAlive(msgspec.Struct, frozen=True, omit_defaults=True):
    """G3: a V1 node's health."""

    id: NodeDigits
    battery_mv: Quantity | None = None
    celsius: Quantity | None = None
    firmware: ShortText | None = None


class NodeBeep(msgspec.Struct, frozen=True, omit_defaults=True):
    """G3: how a V1 node heard a tag, `offset_ms` before it told."""

    id: NodeDigits
    tag_rssi: Level | None = None
    offset_ms: Count | None = None


class NodeTag(msgspec.Struct, frozen=True):
    """G3: which tag a V1 node heard."""

    tag_id: TagDigits


class OriginalBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """G3: `data` of a line that names no data_type."""

    tag: OriginalTag | None = None
    node_alive: NodeAlive | None = None
    node_beep: NodeBeep | None = None
    node_tag: NodeTag | None = None
    id: TagDigits | None = None
    rssi: Level | None = None


class CodedId(msgspec.Struct, frozen=True, omit_defaults=True):
    """G4 `coded_id`: a tag that the radio heard itself."""

    id: TagDigits
    rssi: Level | None = None


class NodeCodedId(msgspec.Struct, frozen=True, omit_defaults=True):
    """G4 `node_coded_id`: a tag that a node heard; `rssi` is at the node."""

    id: TagDigits
    rssi: Level | None = None
    rec_at: Count | None = None


class NodeHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """G4 `node_health`, V2 nodes: volts x 100, degrees x 1e6 (0 and 0: no fix), s since 1970."""

    sent_at: Count | None = None
    fix_at: Count | None = None
    fw: ShortText | None = None
    bat_v: Quantity | None = None
    sol_v: Quantity | None = None
    sol_ma: Quantity | None = None
    sum_sol_ma: Quantity | None = None
    temp_c: Quantity | None = None
    lat: E6 | None = None
    lon: E6 | None = None


class NodeBluHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """G4 `node_blu_health`, V3 nodes: mV, mA, mAh, percent, degrees x 1e6, s."""

    sent_at: Count | None = None
    up_time: Count | None = None
    batt_mv: Quantity | None = None
    charge_ma_avg: Quantity | None = None
    temp_batt: Quantity | None = None
    energy_used: Quantity | None = None
    sd_free: Quantity | None = None
    detections: Count | None = None
    errors: Count | None = None
    fix_at: Count | None = None
    lat: E6 | None = None
    lon: E6 | None = None


class NodeBlue(msgspec.Struct, frozen=True, omit_defaults=True):
    """G4 `node_blue`: a 2.4 GHz tag that a V3 node heard; `id` is printed as a number."""

    id: BluDigits
    sync: Count | None = None
    rssi: Level | None = None
    rec_at: Count | None = None


class Telemetry(msgspec.Struct, frozen=True, omit_defaults=True):
    """G4 `telemetry`: an ES-200 GPS tag; degrees, m, mV, mA, degrees C, s."""

    time: Count | None = None
    lat: Quantity | None = None
    lon: Quantity | None = None
    act: Quantity | None = None
    hdop: Quantity | None = None
    speed: Quantity | None = None
    altitude: Quantity | None = None
    battery: Quantity | None = None
    solar_ma: Quantity | None = None
    temp_c: Quantity | None = None
    ttff: Quantity | None = None


class TerraHeader(msgspec.Struct, frozen=True):
    """G6 `terra_uhf`: how the radio measured the beep that it printed just before."""

    rssi: Level | None = None
    rssi_src: ShortText | None = None
    noise: Level | None = None
    snr: Quantity | None = None
    fei_hz: Quantity | None = None
    lna: Count | None = None


class TerraBody(msgspec.Struct, frozen=True):
    """G6 `terra_uhf`: whose beep it was."""

    id: TagDigits


class TerraMessage(msgspec.Struct, frozen=True):
    """G6 `terra_uhf`: the whole line, printed by bench firmware 5 only."""

    meta: TerraHeader
    data: TerraBody
