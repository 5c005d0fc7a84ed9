"""Packets of a software radio read again: by their bytes alone, whatever they are."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.ctt.extended import build_extended_packet
from protocols.ctt.packet import build_packet
from protocols.radio.heard_packet import LEVELS_HEARD, MEASURED, HeardPacket, detection_of
from protocols.radio.kept_packets import KeptPackets
from protocols.records import Detection, Unknown


@given(body=st.binary(max_size=40))
def test_any_bytes_are_one_record(body: bytes) -> None:
    (record,) = KeptPackets().decode(body)
    assert isinstance(record, Detection if len(body) >= 4 else Unknown)
    assert record.raw == body


@given(
    body=st.sampled_from(
        [
            build_packet("78664C33"),
            build_packet("78664C33")[:4],
            build_extended_packet("78554C33", form=13, subform=2, payload=bytes(10)),
        ]
    )
)
def test_the_bytes_of_a_packet_tell_all_of_it_but_what_samples_told(body: bytes) -> None:
    heard = detection_of(
        HeardPacket(
            first_sample=0,
            end_sample=1,
            body=body,
            tag_id=body[:4].hex().upper(),
            score=0.7,
            integrity="verified" if len(body) > 4 else "unverified",
            frequency_offset_hz=10.0,
            bit_rate_error=0.0,
            signal_dbfs=-20.0,
            noise_dbfs=-25.0,
        ),
        antenna=None,
        full_scale_dbm=-30.0,
    )
    (read,) = KeptPackets().decode(body)
    assert isinstance(read, Detection)
    for name in (*LEVELS_HEARD, "measurements"):
        assert getattr(heard, name) is not None
    for name in ("protocol", "tag_id", "integrity", "id_legal", "payload", "raw"):
        assert getattr(read, name) == getattr(heard, name), name
    assert set(heard.measurements or {}) == set(MEASURED)
