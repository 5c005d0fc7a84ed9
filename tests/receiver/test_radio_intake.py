"""What a software radio tells of noise and occupancy: hours, rows, evidence for authorities."""

import asyncio

import msgspec
import pytest
from live_station import LiveStation

from protocols.ctt.extended import build_extended_packet, read_air_packet
from protocols.declared_payloads import DeclaredPayload
from protocols.payload_codec import PayloadCodec, PayloadField
from protocols.records import Detection
from receiver.intakes import radio as radio_intake
from receiver.intakes.radio import RadioIntake
from receiver.links.intake import LinkStatus
from receiver.radio_settings import SoftwareRadioLink
from receiver.spectrum.occupancy import HourlyNoise, hourly_occupancy
from receiver.spectrum.tuning import tunings
from receiver.store.activity_queries import hours_listened
from receiver.store.hourly_noise import hourly_noise
from receiver.store.queries import DetectionFilter, Reader
from receiver.utc_text import iso_utc

LINK = SoftwareRadioLink(name="stick", source="rtl_tcp://pi", antenna="north", full_scale_dbm=-5.0)


def intake_of(live: LiveStation) -> RadioIntake:
    return RadioIntake(live.pipeline, LINK, LinkStatus(LINK.name))


async def test_noise_and_occupancy_of_an_antenna_are_in_the_hour_and_in_the_evidence(
    live: LiveStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = intake_of(live)
    for noise_dbfs, occupancy in ((-30.0, 0.02), (-26.0, 0.04), (-28.0, 0.06)):
        monkeypatch.setattr(radio_intake, "RADIO_LEVEL_STORED_S", 0.0 if occupancy > 0.05 else 300)
        level = {"noise_dbfs": noise_dbfs, "noise_dbm": noise_dbfs - 80, "occupancy": occupancy}
        intake.level({**level, "gain_db": 36.4}, {"samples_lost": 1000})
    antenna = live.activity.links[0].of("north")
    assert (antenna.noise_dbfs, antenna.gain_db) == (-28.0, 36.4), "the last, for the screen"
    await live.end()
    rows = live.rows("SELECT body FROM events WHERE kind = 'StationHealth' ORDER BY id")
    told = [msgspec.json.decode(row["body"])["measurements"] for row in rows]
    assert told[0]["occupancy"] == 0.02, "the first is a row at once"
    assert told[1] == {
        "noise_dbfs": -27.0,
        "noise_dbm": -107.0,
        "occupancy": 0.05,
        "gain_db": 36.4,
        "frequency_hz": 434_000_000,
    }, "later ones are means"
    assert live.rejects()["samples_lost"] == 3000
    with Reader(live.path) as reader:
        noise = [
            HourlyNoise(hour=iso_utc(row.pop("hour_ns")), **row)
            for row in hourly_noise(reader.connection, None, None)
        ]
        hours = list(
            hourly_occupancy(
                hours_listened(reader, DetectionFilter()), noise, list(tunings([LINK])), ()
            )
        )
    (hour,) = [each for each in hours if each["low_hz"] == 434_000_000]
    assert hour["noise_dbm"] == -107.0
    assert hour["noise_dbfs"] == pytest.approx(-28.5)
    assert hour["occupied"] == pytest.approx(0.035)


async def test_a_packet_is_stamped_when_it_was_and_not_when_it_became_known(
    live: LiveStation,
) -> None:
    intake = intake_of(live)
    now = live.clock.stamp()
    assert now.mono_ns is not None
    packet = Detection(protocol="ctt-434", tag_id="78664C33", integrity="verified")
    intake.heard(packet, now.mono_ns - 700_000_000)
    await live.end()
    (row,) = live.rows("SELECT utc_ns, mono_ns FROM detections")
    assert row["mono_ns"] == now.mono_ns - 700_000_000
    assert row["utc_ns"] == pytest.approx(now.utc_ns - 700_000_000, abs=2e6)


async def test_payloads_that_the_owner_declared_are_read(live: LiveStation) -> None:
    layout = PayloadCodec([PayloadField(name="temperature_c", type="i16le", scale=0.01)])
    live.pipeline.payloads = [DeclaredPayload(protocol="ctt-434", format=5, codec=layout)]
    body = build_extended_packet("78554C33", form=5, payload=bytes.fromhex("0CFE780C"))
    air = read_air_packet(body)
    assert air is not None
    intake_of(live).heard(
        Detection(
            protocol="ctt-434",
            tag_id="78554C33",
            integrity="verified",
            payload=air.payload,
            raw=body,
            measurements={"score": 0.9},
        ),
        live.clock.stamp().mono_ns or 0,
    )
    await asyncio.sleep(0)
    await live.end()
    (row,) = live.detections()
    assert row["measurements"]["temperature_c"] == -5
    assert row["measurements"]["score"] == 0.9
