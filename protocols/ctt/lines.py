r"""Every line that a CTT radio prints, of every generation, to records.

    G0  XXXXXXXX           8 hex digits; Cornell receiver, no level
    G1  XXXXXXXX,RSSI      LifeTag Motus Adapter V1
    G2  XXXXXXXXCC,RSSI    Motus Adapter V2; CC is the CRC-8 as received, right or wrong
    G3  {"rssi":…}         station radio before firmware 2           json_lines.py
    G4  {"protocol":…}     firmware 2 and 3                          json_lines.py
    G5  hex record         firmware 4 and later, opcode first        hex_lines.py
    G6  G5, then a JSON line of measurements for each beep           json_lines.py

Replies to commands are JSON in every generation that answers. RSSI is a decimal integer in dBm.

Source: SensorGnome's dongle reader; celltracktech.com station software.
"""

import binascii
import re
from typing import ClassVar

from protocols.ctt.hex_lines import decode_hex_record
from protocols.ctt.json_lines import decode_json_line
from protocols.ctt.packet import ID_DIGITS
from protocols.ctt.readings import LEVEL_MAX_DBM, LEVEL_MIN_DBM, tag_beep
from protocols.records import Detection, Ignored, Record, Unknown
from protocols.registry import register

REMEMBERED_LINES = 4096
"""Distinct beeps kept with what they mean: 40 tags at 100 levels. A remembered beep takes about
0.5 kB (line, record, place in the table), so 2 MB for the whole process: all radios share them, and
hear the same tags. When full it starts anew: 4096 lines at 5 µs are 20 ms of decoding."""

REMEMBERED_LINE_BYTES = 128
"""The longest beep line of any radio is 93 bytes of JSON; longer ones are decoded each time."""

_PADDING = b" \t\r\n\0"
_TEXT_BEEP = re.compile(rb"([0-9A-Fa-f]{8}(?:[0-9A-Fa-f]{2})?),(-?[0-9]{1,3})")
_LEADING_GARBAGE = re.compile(rb"[^0-9A-Fa-f{]*")
_HEX_DIGITS = re.compile(rb"[0-9A-Fa-f]+")
_OPEN_BRACE = b"{"


def decode_ctt_line(frame: bytes) -> Record:
    """Return the record in one line, without remembering anything. Never raises.

    Padding (spaces, NULs, a stray CR) around a line is no garbage. Before a JSON object or a hex
    record, bytes that are neither hex digits nor `{` are skipped: radios print some when powered
    up, and what follows proves itself by its length for its opcode, or by its closing brace. Text
    beeps have no such proof, so anything else on their line makes it `Unknown`: a reader that looks
    for an id anywhere in the line finds ids that nobody sent.

    `Unknown` by reason: `not-hex`, `length`, `field`, and those of `decode_hex_record` and
    `decode_json_line`. An empty line is `Ignored`, reason `empty`.
    """
    line = frame.strip(_PADDING)
    beep = _TEXT_BEEP.fullmatch(line)
    if beep is not None:
        return _text_beep(beep[1], int(beep[2]), frame)
    garbage = _LEADING_GARBAGE.match(line)
    message = line[garbage.end() :] if garbage else line
    if message.startswith(_OPEN_BRACE):
        return decode_json_line(message, frame)
    if not message:
        return Unknown(reason="not-hex", raw=frame) if line else Ignored(reason="empty")
    if len(line) == ID_DIGITS and len(message) == ID_DIGITS:
        return _bare_id(message, frame)
    return _hex_line(message, frame)


def _text_beep(digits: bytes, rssi_dbm: int, frame: bytes) -> Record:
    if not LEVEL_MIN_DBM <= rssi_dbm <= LEVEL_MAX_DBM:
        return Unknown(reason="field", raw=frame)
    return tag_beep(digits.decode("ascii"), rssi_dbm, frame)


def _bare_id(digits: bytes, frame: bytes) -> Record:
    try:
        id_bytes = binascii.unhexlify(digits)
    except binascii.Error:
        return Unknown(reason="not-hex", raw=frame)
    return tag_beep(id_bytes.hex(), None, frame)


def _hex_line(digits: bytes, frame: bytes) -> Record:
    try:
        record = binascii.unhexlify(digits)
    except binascii.Error:
        reason = "length" if _HEX_DIGITS.fullmatch(digits) else "not-hex"
        return Unknown(reason=reason, raw=frame)
    return decode_hex_record(record, frame)


@register("ctt", version="1", framing="lines", takes="serial lines of CTT radios, all generations")
class CttLineDecoder:
    """Serial lines of CTT radios: tag beeps, node beeps and health, GPS tags, replies, errors.

    One line is one record. A radio prints the same beep again and again, and a beep tells nothing
    but tag and level, so each distinct beep line is decoded once and remembered.
    """

    _remembered: ClassVar[dict[bytes, tuple[Record, ...]]] = {}

    def decode(self, frame: bytes) -> tuple[Record, ...]:
        """Return the one record in a line without its terminator. Never raises."""
        known = self._remembered.get(frame)
        if known is not None:
            return known
        records = (decode_ctt_line(frame),)
        if _is_plain_beep(records[0]) and len(frame) <= REMEMBERED_LINE_BYTES:
            if len(self._remembered) >= REMEMBERED_LINES:
                self._remembered.clear()
            self._remembered[frame] = records
        return records


def _is_plain_beep(record: Record) -> bool:
    return isinstance(record, Detection) and record.relay is None and record.measurements is None
