"""Lines as CTT radios print them: what the decoder of `lines.py` reads, written.

Every line ends in CR LF. The shapes are those of the decoder: `json_messages.py` for JSON,
`hex_records.py` for hex. Each builder raises `EncodeError` where the line cannot carry a value.
"""

from typing import Literal, TypeAlias

from protocols.ctt.hex_records import (
    BEEP_0,
    BEEP_1,
    NODE2_BEEP,
    NODE3_BEEP_BLE,
    NODE3_BEEP_SUB_GHZ,
    Fields,
)
from protocols.ctt.json_messages import (
    CodedId,
    Collection,
    Header,
    Message,
    NodeBeep,
    NodeBlue,
    NodeCodedId,
    NodeTag,
    OriginalBody,
    OriginalTag,
    Source,
)
from protocols.ctt.line_writing import (
    LINE_END,
    hex_line,
    json_body,
    json_line,
    level,
    node_number,
    packet_digits,
    protocol_line,
    received_packet,
    relay_level,
    whole,
)
from protocols.ctt.packet import PACKET_BYTES, id_bytes_of
from protocols.errors import EncodeError
from protocols.records import Relay

Generation: TypeAlias = Literal["G0", "G1", "G2", "G3", "G4", "G5"]
"""Which radio prints: `lines.py` tells them apart."""
NodeVersion: TypeAlias = Literal[2, 3]
"""Which node a station radio of G4 or G5 hears; V1 nodes speak through G3 radios."""

_BEEP_OPCODE: dict[NodeVersion, int] = {2: NODE2_BEEP, 3: NODE3_BEEP_SUB_GHZ}


def beep_line(
    generation: Generation, tag_id: str, rssi_dbm: float, *, crc: int | None = None
) -> bytes:
    """Return the line for a tag that the radio heard itself.

    `crc` is the CRC byte as received, right or wrong; None where the radio takes the packet to have
    none. G0, G1 and G3 lines have no place for it, G0 none for the level. G2 always prints one.
    """
    id_bytes = id_bytes_of(tag_id)
    rssi = level(rssi_dbm)
    if generation == "G0":
        return id_bytes.hex().upper().encode() + LINE_END
    if generation in ("G1", "G2"):
        if generation == "G2" and crc is None:
            raise EncodeError("crc: a G2 radio prints one with every beep")
        digits = packet_digits(id_bytes, crc if generation == "G2" else None)
        return f"{digits.lower()},{rssi}".encode() + LINE_END
    if generation == "G3":
        tag = OriginalTag(id=packet_digits(id_bytes, None))
        return json_line(Message(rssi=rssi, data=json_body(OriginalBody(tag=tag))))
    if generation == "G4":
        header = Header(data_type="coded_id", rssi=rssi)
        return protocol_line(header, CodedId(id=packet_digits(id_bytes, crc)))
    if crc is None:
        return hex_line(BEEP_0, {"tag_id": id_bytes, "rssi_dbm": rssi})
    return hex_line(BEEP_1, {"tag_id": id_bytes, "crc": crc, "rssi_dbm": rssi})


def node_beep_line(
    generation: Generation,
    tag_id: str,
    rssi_dbm: float,
    relay: Relay,
    *,
    crc: int | None = None,
    age_us: int = 0,
    node_version: NodeVersion = 2,
) -> bytes:
    """Return the line for a 434 MHz tag that a node heard at `rssi_dbm` and passed on.

    G3 tells `age_us` in whole milliseconds; G4 and G5 tell `relay.recorded_at_unix_s` in whole
    seconds and `relay.collection`.
    """
    id_bytes = id_bytes_of(tag_id)
    rssi = level(rssi_dbm)
    if generation == "G3":
        beep = NodeBeep(id=relay.relay_id, tag_rssi=rssi, offset_ms=age_us // 1000)
        tag = NodeTag(tag_id=packet_digits(id_bytes, None))
        body = json_body(OriginalBody(node_beep=beep, node_tag=tag))
        return json_line(Message(rssi=relay_level(relay.relay_rssi_dbm), data=body))
    if generation == "G4":
        coded = NodeCodedId(id=packet_digits(id_bytes, crc), rssi=rssi, rec_at=_recorded_at(relay))
        return protocol_line(_relay_header("node_coded_id", relay), coded)
    if generation != "G5":
        raise EncodeError(f"generation: {generation} radios do not hear nodes")
    packet = received_packet(id_bytes, crc)
    return hex_line(
        _BEEP_OPCODE[node_version],
        _relay_fields(relay)
        | {
            "tag_bytes": packet.ljust(PACKET_BYTES, b"\0"),
            "tag_size": len(packet),
            "tag_rssi_dbm": rssi,
        },
    )


def blu_node_beep_line(
    generation: Generation, tag_id: str, rssi_dbm: float, relay: Relay, *, sync: int
) -> bytes:
    """Return the line for a 2.4 GHz tag that a V3 node heard; `tag_id` is in wire order."""
    id_bytes = id_bytes_of(tag_id)
    rssi = level(rssi_dbm)
    if generation == "G4":
        blue = NodeBlue(
            id=packet_digits(id_bytes[::-1], None), sync=sync, rssi=rssi, rec_at=_recorded_at(relay)
        )
        return protocol_line(_relay_header("node_blue", relay), blue)
    if generation != "G5":
        raise EncodeError(f"generation: {generation} radios do not hear V3 nodes")
    return hex_line(
        NODE3_BEEP_BLE,
        _relay_fields(relay) | {"tag_id": id_bytes, "sync": sync, "tag_rssi_dbm": rssi},
    )


def version_reply_line(firmware: str, name: str = "SensorStationRadio") -> bytes:
    """Return a radio's answer to `version`."""
    return json_line(Message(name=name, firmware=firmware))


def command_reply_line(command: str, *, ok: bool, message: str | None = None) -> bytes:
    """Return a radio's answer to the command whose name is `command`."""
    return json_line(Message(key=command, res=ok, err=message))


def radio_error_line(message: str) -> bytes:
    """Return the line with which a radio tells that it failed."""
    return json_line(Message(error=message))


def _recorded_at(relay: Relay) -> int | None:
    return whole(relay.recorded_at_unix_s)


def _relay_header(data_type: str, relay: Relay) -> Header:
    return Header(
        data_type=data_type,
        rssi=relay_level(relay.relay_rssi_dbm),
        source=Source(type="node", id=relay.relay_id),
        collection=None if relay.collection is None else Collection(*relay.collection),
    )


def _relay_fields(relay: Relay) -> Fields:
    collection_id, count, index = relay.collection or (0, 0, 0)
    return {
        "node_number": node_number(relay.relay_id),
        "collection_id": collection_id,
        "collection_count": count,
        "collection_index": index,
        "recorded_at_unix_s": _recorded_at(relay) or 0,
        "rssi_dbm": relay_level(relay.relay_rssi_dbm) or 0,
    }
