"""A real mosquitto with the configuration that ships: what it lets through, and what not."""

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiomqtt
import msgspec
import pytest
from brokers import MOSQUITTO, free_port
from certificates import Certificate, certificate

from receiver.limits import MAX_BATCH_BYTES

FOLDER = Path(__file__).parents[2] / "deploy" / "mosquitto"
ACCOUNTS = ("marsh", "ridge", "collector", "technician", "host", "rtl_433")
WITHIN_S = 60.0


class ShippedBroker(msgspec.Struct, frozen=True):
    """A running broker: its two ports, and the certificate that it shows."""

    tls_port: int
    loopback_port: int
    certificate: Certificate

    @contextlib.asynccontextmanager
    async def account(
        self, name: str, password: str | None = None, *, client_id: str | None = None
    ) -> AsyncIterator[aiomqtt.Client]:
        """Log in from anywhere: with TLS, and the right password unless another is given."""
        async with aiomqtt.Client(
            "127.0.0.1",
            self.tls_port,
            username=name,
            password=password or f"password of {name}",
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=ssl.create_default_context(cafile=str(self.certificate.file)),
            timeout=WITHIN_S,
        ) as client:
            yield client


@pytest.fixture(scope="module")
def passwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of accounts, made as an owner makes it."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: sudo apt-get install mosquitto")
    file = tmp_path_factory.mktemp("accounts") / "stopover.passwords"
    file.touch(mode=0o600)
    for name in ACCOUNTS:
        subprocess.run(["mosquitto_passwd", "-b", file, name, f"password of {name}"], check=True)
    return file


def _configured(folder: Path, passwords: Path, tls: Certificate, ports: tuple[int, int]) -> Path:
    """Return the files that ship, as an owner would put them, but in `folder`."""
    acl = folder / "stopover.acl"
    shutil.copy(FOLDER / "stopover.acl", acl)
    acl.chmod(0o600)
    text = (FOLDER / "stopover.conf").read_text()
    for path, stand_in in {
        "/etc/mosquitto/certs/fullchain.pem": str(tls.file),
        "/etc/mosquitto/certs/privkey.pem": str(tls.key),
        "/etc/mosquitto/stopover.passwords": str(passwords),
        "/etc/mosquitto/stopover.acl": str(acl),
        "listener 8883\n": f"listener {ports[0]}\n",
        "listener 1883 ": f"listener {ports[1]} ",
    }.items():
        assert text.count(path) == 1, path
        text = text.replace(path, stand_in)
    included = folder / "conf.d"
    included.mkdir()
    (included / "stopover.conf").write_text(text)
    main = folder / "mosquitto.conf"
    # As Debian's own main file does, whose lines must not come twice.
    main.write_text(
        f"user root\npid_file {folder}/pid\npersistence true\npersistence_location {folder}/\n"
        f"log_dest file {folder}/log\ninclude_dir {included}\n"
    )
    return main


@pytest.fixture
def shipped(tmp_path: Path, passwords: Path) -> Iterator[ShippedBroker]:
    """A running mosquitto with the files of deploy/mosquitto."""
    assert MOSQUITTO is not None
    tls = certificate(tmp_path / "tls")
    broker = ShippedBroker(free_port(), free_port(), tls)
    main = _configured(tmp_path, passwords, tls, (broker.tls_port, broker.loopback_port))
    process = subprocess.Popen([MOSQUITTO, "-c", main], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + WITHIN_S
    while not _listens(broker.tls_port) or not _listens(broker.loopback_port):
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield broker
    process.kill()
    process.wait()


def _listens(port: int, address: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((address, port), timeout=WITHIN_S).close()
    except ConnectionRefusedError:
        return False
    return True


async def _next(client: aiomqtt.Client) -> tuple[str, bytes]:
    async with asyncio.timeout(WITHIN_S):
        message = await anext(aiter(client.messages))
    assert isinstance(message.payload, bytes)
    return str(message.topic), message.payload


async def test_a_batch_reaches_a_collector_and_its_answer_comes_back(
    shipped: ShippedBroker,
) -> None:
    async with shipped.account("marsh") as station, shipped.account("collector") as collector:
        await collector.subscribe("$share/collectors/stopover/+/batches", qos=1)
        await station.subscribe("stopover/marsh/acks", qos=1)
        await station.publish("stopover/marsh/batches", b"rows", qos=1)
        assert await _next(collector) == ("stopover/marsh/batches", b"rows")
        await collector.publish("stopover/marsh/acks", b"stored", qos=1)
        assert await _next(station) == ("stopover/marsh/acks", b"stored")


@pytest.mark.parametrize(("name", "password"), [("marsh", "guessed"), ("nobody", "password")])
async def test_a_wrong_password_is_refused(
    shipped: ShippedBroker, name: str, password: str
) -> None:
    with pytest.raises(aiomqtt.MqttError, match="Not authorized"):
        async with shipped.account(name, password):
            pass


async def test_nobody_gets_in_without_an_account_not_even_on_the_machine_itself(
    shipped: ShippedBroker,
) -> None:
    with pytest.raises(aiomqtt.MqttError, match=r"(?i)not authori[sz]ed"):
        async with aiomqtt.Client("127.0.0.1", shipped.loopback_port):
            pass


async def test_no_station_speaks_for_another(shipped: ShippedBroker) -> None:
    async with shipped.account("collector") as collector, shipped.account("marsh") as marsh:
        await collector.subscribe("stopover/+/batches", qos=1)
        for topic in ("stopover/ridge/batches", "stopover/+/batches", "stopover/marsh/acks"):
            try:
                await marsh.publish(topic, b"forged", qos=1)
            except (aiomqtt.MqttError, ValueError):
                continue  # Said so at once, as paho does for a wildcard.
        await marsh.publish("stopover/marsh/batches", b"own", qos=1)
        assert await _next(collector) == ("stopover/marsh/batches", b"own")


async def test_no_station_hears_what_is_for_another(shipped: ShippedBroker) -> None:
    async with shipped.account("collector") as collector, shipped.account("marsh") as marsh:
        for topic in ("stopover/+/acks", "stopover/+/batches", "stopover/+/host", "#"):
            await marsh.subscribe(topic, qos=1)
        async with shipped.account("ridge") as ridge:
            await ridge.publish("stopover/ridge/batches", b"rows of another", qos=1)
        await collector.publish("stopover/ridge/acks", b"for another", qos=1)
        await collector.publish("stopover/marsh/acks", b"own", qos=1)
        assert await _next(marsh) == ("stopover/marsh/acks", b"own")


async def test_a_technician_looks_on_and_changes_nothing(shipped: ShippedBroker) -> None:
    async with shipped.account("marsh") as marsh, shipped.account("technician") as technician:
        await marsh.publish("stopover/marsh/status", b"online", qos=1, retain=True)
        await technician.subscribe("stopover/+/status", qos=1)
        assert await _next(technician) == ("stopover/marsh/status", b"online")
        await technician.publish("stopover/marsh/status", b"forged", qos=1, retain=True)
        async with shipped.account("technician", client_id="later") as later:
            await later.subscribe("stopover/+/status", qos=1)
            assert await _next(later) == ("stopover/marsh/status", b"online")


async def test_a_receiver_and_its_host_talk_to_each_other(shipped: ShippedBroker) -> None:
    async with shipped.account("ridge") as receiver, shipped.account("host") as host:
        await host.subscribe("stopover/+/frames", qos=1)
        await host.subscribe("rtl_433/#", qos=1)
        await receiver.subscribe("stopover/ridge/host", qos=1)
        await receiver.publish("stopover/ridge/frames", b"frame", qos=1)
        assert await _next(host) == ("stopover/ridge/frames", b"frame")
        await host.publish("stopover/ridge/host", b"time", qos=1)
        assert await _next(receiver) == ("stopover/ridge/host", b"time")
        async with aiomqtt.Client(  # As rtl_433 does: on the same machine, without TLS.
            "127.0.0.1",
            shipped.loopback_port,
            username="rtl_433",
            password="password of rtl_433",  # noqa: S106  Of a broker that lives for this test.
        ) as stick:
            await stick.publish("rtl_433/marsh/events", b"event", qos=1)
        assert await _next(host) == ("rtl_433/marsh/events", b"event")


async def test_without_encryption_there_is_no_way_in_from_outside(shipped: ShippedBroker) -> None:
    # 127.0.0.2 is this machine as well, but not the address of the unencrypted listener.
    assert _listens(shipped.tls_port, "127.0.0.2")
    assert not _listens(shipped.loopback_port, "127.0.0.2")
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client(
            "127.0.0.2",
            shipped.tls_port,
            username="marsh",
            password="password of marsh",  # noqa: S106  Of a broker that lives for this test.
            timeout=1,
        ):
            pass


async def test_the_largest_batch_passes_and_who_sends_more_loses_the_connection(
    shipped: ShippedBroker,
) -> None:
    largest = os.urandom(MAX_BATCH_BYTES)
    async with shipped.account("collector") as collector, shipped.account("marsh") as marsh:
        await collector.subscribe("stopover/+/batches", qos=1)
        await marsh.publish("stopover/marsh/batches", largest, qos=1)
        assert await _next(collector) == ("stopover/marsh/batches", largest)
        with contextlib.suppress(aiomqtt.MqttError):
            await marsh.publish("stopover/marsh/batches", largest + bytes(2**16), qos=1, timeout=1)
        with pytest.raises(aiomqtt.MqttError, match=r"(?i)disconnected"):
            await _next(marsh)
        async with shipped.account("marsh", client_id="again") as again:
            await again.publish("stopover/marsh/batches", b"small", qos=1)
        assert await _next(collector) == ("stopover/marsh/batches", b"small")
