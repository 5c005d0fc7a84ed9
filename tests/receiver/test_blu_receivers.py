"""BluSeries receivers end to end: a device that answers questions on a pseudo-terminal."""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import pytest
from conftest import Until
from live_station import LiveStation
from pseudo_terminals import PseudoRadio
from structlog.testing import capture_logs

from protocols.ctt import blu_poller
from protocols.ctt.blu import Beacon, RequestType, detection_fields, reply
from protocols.declared_payloads import DeclaredPayload
from protocols.payload_codec import PayloadCodec, PayloadField
from receiver.links.intake import LinkState
from receiver.links.serial_port import SerialPort
from receiver.settings import SerialLink

PlugIn: TypeAlias = Callable[[], PseudoRadio]
REVISION_0_COLD = bytes.fromhex("8C0830F8")  # 2188 mV, -20.00 °C
BLU = SerialLink(name="blu", device="", decoder="ctt-blu", poll_interval=5)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the poller wait for tenths of what a real receiver needs."""
    monkeypatch.setattr(blu_poller, "START_DELAY_S", 0.03)
    monkeypatch.setattr(blu_poller, "REPLY_TIMEOUT_NS", 80_000_000)


class BluReceiver:
    """A receiver with radios on some of its four places, which keep what they heard."""

    def __init__(self, radio: PseudoRadio, *channels: int) -> None:
        self.asked: list[tuple[int, int]] = []
        self.replies_lost = 0
        """So many replies from now on are lost on the way."""
        self._kept: dict[int, list[dict[str, object]]] = {channel: [] for channel in channels}
        radio.answer = self._answer
        radio.listen()

    def hear(self, channel: int, number: int, *, age_ms: int = 0, revision: int = 0) -> None:
        """Let a radio hear a tag."""
        beacon = Beacon(
            tag_id=number.to_bytes(4, "big"),
            sync=number,
            family=0,
            revision=revision,
            payload=REVISION_0_COLD,
        )
        tick_ms = 2**32 - 50  # The ticks are about to begin again.
        self._kept[channel].append(
            detection_fields(
                beacon,
                rssi_dbm=-70,
                current_tick_ms=(tick_ms + age_ms) % 2**32,
                detect_tick_ms=tick_ms,
            )
        )

    def _answer(self, line: bytes) -> bytes:
        asked: dict[str, Any] = msgspec.json.decode(line)
        kind, channel = RequestType(asked["type"]), asked["channel"]
        self.asked.append((kind, channel))
        if channel not in self._kept:
            return b""
        if kind is not RequestType.DETECTIONS:
            return reply(kind, channel, {"app": "blu", "version": "1.4.2"})
        said = b""
        kept = self._kept[channel]
        while kept:
            line = reply(kind, channel, kept.pop(0))
            if self.replies_lost:
                self.replies_lost -= 1
                return said  # And with it the end of the batch.
            said += line
        return said + reply(kind, channel, {})


def tags(live: LiveStation) -> list[int]:
    return [int(row["tag_id"], 16) for row in live.detections()]


async def test_what_every_radio_heard_is_kept_with_the_time_at_which_it_heard_it(
    live: LiveStation, plug_in: PlugIn, until: Until
) -> None:
    radio = plug_in()
    receiver = BluReceiver(radio, 1, 3)
    receiver.hear(1, 0xA1, age_ms=4_000)
    receiver.hear(1, 0xA2, age_ms=1_000)
    receiver.hear(3, 0xB1, age_ms=30)
    live.hear(msgspec.structs.replace(BLU, device=radio.device))
    await until(lambda: len(live.detections()) == 3)
    await live.end()
    rows = live.detections()
    assert {(row["tag_id"], row["antenna"]) for row in rows} == {
        ("000000A1", "1"),
        ("000000A2", "1"),
        ("000000B1", "3"),
    }
    first, second, third = live.rows("SELECT utc_ns, mono_ns FROM detections ORDER BY tag")
    assert second["mono_ns"] - first["mono_ns"] == pytest.approx(3e9, abs=5e7)
    assert third["mono_ns"] > second["mono_ns"]
    told = rows[0]["measurements"]
    assert (told["battery_v"], told["temperature_c"], told["sync"]) == (2.188, -20, 0xA1)
    # Radios that are not there are asked, cost their time-out, and are counted.
    assert live.rejects()["reply_timeouts"] > 0
    assert live.statuses["blu"].firmware == "BluSeries 1: 1.4.2, 3: 1.4.2"


async def test_a_garbled_reply_does_not_lose_the_rest_of_the_batch(
    live: LiveStation, plug_in: PlugIn, until: Until
) -> None:
    radio = plug_in()
    receiver = BluReceiver(radio, 1, 2, 3, 4)
    for number in range(1, 6):
        receiver.hear(2, number)
    receiver._kept[2][2] |= {"detection": "?"}
    live.hear(msgspec.structs.replace(BLU, device=radio.device))
    await until(lambda: len(live.detections()) == 4)
    assert tags(live) == [1, 2, 4, 5]


async def test_a_lost_reply_does_not_lose_the_rest_of_the_batch(
    live: LiveStation, plug_in: PlugIn, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough that no other reply seems lost on a busy machine.
    monkeypatch.setattr(blu_poller, "REPLY_TIMEOUT_NS", 1_000_000_000)
    radio = plug_in()
    receiver = BluReceiver(radio, 1, 2, 3, 4)
    for number in range(1, 6):
        receiver.hear(2, number)
    receiver.replies_lost = 1
    live.hear(msgspec.structs.replace(BLU, device=radio.device))
    await until(lambda: len(live.detections()) == 4)
    assert tags(live) == [2, 3, 4, 5]  # One reply was lost, and no other.
    detections_asked = [channel for kind, channel in receiver.asked if kind == 6]
    assert detections_asked[:5] == [1, 2, 2, 3, 4]
    await live.end()
    assert live.rejects()["reply_timeouts"] == 1


async def test_a_receiver_that_answers_nothing_is_silent_and_comes_back(
    live: LiveStation, plug_in: PlugIn, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blu_poller, "REPLY_TIMEOUT_NS", 50_000_000)
    radio = plug_in()
    receiver = BluReceiver(radio)
    settings = msgspec.structs.replace(BLU, device=radio.device, poll_interval=0.05)
    with capture_logs() as log:
        live.hear(settings)
        await until(lambda: live.statuses["blu"].state is LinkState.SILENT)
        for channel in (1, 2, 3, 4):
            receiver._kept[channel] = []
        await until(lambda: live.statuses["blu"].state is not LinkState.SILENT)
    events = [line["event"] for line in log if line["log_level"] == "warning"]
    assert events == ["receiver silent", "receiver answers again"]


async def test_the_line_is_opened_as_a_blu_receiver_needs_it(
    live: LiveStation, plug_in: PlugIn, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[int, bool]] = []
    really_open = SerialPort.open

    def noted(device: str, baud_rate: int, *, dtr: bool = True) -> SerialPort:
        port = really_open(device, baud_rate, dtr=dtr)
        opened.append((baud_rate, port._port.dtr))
        return port

    monkeypatch.setattr(SerialPort, "open", noted)
    for name, decoder in (("blu", "ctt-blu"), ("ctt", "ctt")):
        live.hear(SerialLink(name=name, device=plug_in().device, decoder=decoder))
        await until(lambda name=name: live.statuses[name].opened)  # type: ignore[misc]
    assert opened == [(230_400, False), (115_200, True)]


async def test_a_revision_is_read_by_the_layout_that_the_owner_declared(
    live: LiveStation, plug_in: PlugIn, until: Until
) -> None:
    layout = PayloadCodec([PayloadField(name="light_lux", type="u16le")])
    live.pipeline.payloads = [DeclaredPayload(protocol="ctt-2g4", format=7, codec=layout)]
    radio = plug_in()
    receiver = BluReceiver(radio, 1)
    receiver.hear(1, 1, revision=7)
    receiver.hear(1, 2)
    live.hear(msgspec.structs.replace(BLU, device=radio.device))
    await until(lambda: len(live.detections()) == 2)
    first, second = live.detections()
    assert first["measurements"]["light_lux"] == 0x088C
    assert second["measurements"]["temperature_c"] == -20
