"""MQTT links against a real mosquitto."""

import asyncio
import contextlib
import json
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from brokers import Broker, free_port
from structlog.testing import capture_logs

from receiver.limits import MAX_MQTT_PAYLOAD_BYTES
from receiver.links.backoff import Backoff
from receiver.links.intake import LinkState, LinkStatus
from receiver.links.mqtt import MqttLink
from receiver.settings import MqttLink as Settings
from receiver.settings import MqttTopic

Until: TypeAlias = Callable[[Callable[[], object]], Awaitable[None]]
StartBroker: TypeAlias = Callable[..., Broker]

DYNAMIC_SECURITY = next(iter(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")), None)


class Intake:
    """Keeps messages; says that they are in the store at once, or when it is told to."""

    def __init__(self, *, durable_at_once: bool = True) -> None:
        self.durable_at_once = durable_at_once
        self.messages: list[tuple[str, bytes]] = []
        self.waiting: list[Callable[[], None]] = []

    def message(self, topic: str, payload: bytes, on_durable: Callable[[], None] | None) -> None:
        """Keep a message."""
        self.messages.append((topic, payload))
        if on_durable is None:
            return
        if self.durable_at_once:
            on_durable()
        else:
            self.waiting.append(on_durable)

    def commit(self) -> None:
        """Say that everything is in the store."""
        waiting, self.waiting = self.waiting, []
        for on_durable in waiting:
            on_durable()

    @property
    def payloads(self) -> list[bytes]:
        """What came, in order."""
        return [payload for _, payload in self.messages]


class Running:
    """A link that runs on the test's loop."""

    def __init__(self, broker: str, intake: Intake, *topics: str, **changes: object) -> None:
        wanted = tuple(MqttTopic(topic, "ctt") for topic in topics or ("tags/#",))
        chosen = {"name": "field", "broker": broker, "topics": wanted, **changes}
        self.intake = intake
        self.status = LinkStatus("field")
        link = MqttLink(
            Settings(**chosen),  # type: ignore[arg-type]  # Each test names its own.
            intake,
            self.status,
            "heath",
            backoff=Backoff(first_s=0.02, longest_s=0.1),
            keepalive_s=1,
            timeout_s=1.0,
            settle_s=0.2,
        )
        self.task = asyncio.ensure_future(link.run())

    async def stop(self) -> None:
        """End the link and wait until it has."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


Run: TypeAlias = Callable[..., Running]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    links: list[Running] = []

    def start(broker: str, intake: Intake, *topics: str, **changes: object) -> Running:
        links.append(Running(broker, intake, *topics, **changes))
        return links[-1]

    yield start
    for link in links:
        await link.stop()


def told(log: Sequence[Mapping[str, Any]]) -> list[tuple[object, object]]:
    return [(line["event"], line["log_level"]) for line in log if line["log_level"] != "debug"]


async def test_messages_of_the_subscribed_topics_arrive(
    broker: Broker, run: Run, until: Until
) -> None:
    link = run(broker.url, Intake(), "tags/+/beeps", "health")
    await until(lambda: link.status.state is LinkState.QUIET)
    await broker.publish("tags/1/beeps", b"one")
    await broker.publish("elsewhere", b"no")
    await broker.publish("health", b"two", qos=0)
    await until(lambda: len(link.intake.messages) == 2)
    assert link.intake.messages == [("tags/1/beeps", b"one"), ("health", b"two")]
    assert link.status.state is LinkState.HEARING
    assert link.status.last_heard_mono_ns


async def test_a_message_not_yet_in_the_store_comes_again_after_a_crash_and_others_do_not(
    broker: Broker, run: Run, until: Until
) -> None:
    intake = Intake(durable_at_once=False)
    link = run(broker.url, intake)
    await until(lambda: link.status.opened)
    await broker.publish("tags/1", b"stored")
    await until(lambda: intake.waiting)
    intake.commit()
    await broker.publish("tags/1", b"not stored")
    await until(lambda: intake.waiting)
    await link.stop()
    again = run(broker.url, Intake())
    await until(lambda: again.intake.messages)
    await broker.publish("tags/1", b"after")
    await until(lambda: len(again.intake.messages) == 2)
    assert again.intake.payloads == [b"not stored", b"after"]


async def test_the_broker_waits_while_acknowledgements_wait(
    broker: Broker, run: Run, until: Until
) -> None:
    intake = Intake(durable_at_once=False)
    link = run(broker.url, intake)
    await until(lambda: link.status.opened)
    sent = [b"%d" % number for number in range(100)]
    await broker.publish("tags/1", *sent)
    await until(lambda: len(intake.messages) == 20)
    assert len(intake.messages) == 20
    intake.durable_at_once = True
    intake.commit()
    await until(lambda: len(intake.messages) == 100)
    assert intake.payloads == sent


async def test_a_stopped_link_acknowledges_what_is_being_committed(
    broker: Broker, run: Run, until: Until
) -> None:
    intake = Intake(durable_at_once=False)
    link = run(broker.url, intake)
    await until(lambda: link.status.opened)
    await broker.publish("tags/1", b"one")
    await until(lambda: intake.waiting)
    asyncio.get_running_loop().call_later(0.05, intake.commit)
    await link.stop()
    again = run(broker.url, Intake())
    await until(lambda: again.status.opened)
    await broker.publish("tags/1", b"two")
    await until(lambda: again.intake.messages)
    assert again.intake.payloads == [b"two"]


async def test_what_is_published_while_the_link_is_away_waits_for_it(
    broker: Broker, run: Run, until: Until
) -> None:
    link = run(broker.url, Intake())
    await until(lambda: link.status.opened)
    await link.stop()
    await broker.publish("tags/1", b"one", b"two")
    again = run(broker.url, Intake())
    await until(lambda: len(again.intake.messages) == 2)


async def test_a_broker_that_is_killed_is_found_again(
    broker: Broker, run: Run, until: Until
) -> None:
    intake = Intake(durable_at_once=False)
    with capture_logs() as log:
        link = run(broker.url, intake)
        await until(lambda: link.status.opened)
        await broker.publish("tags/1", b"before")
        await until(lambda: intake.waiting)
        broker.kill()
        await until(lambda: link.status.state is LinkState.FAILED)
        intake.commit()  # Its connection is gone: nothing to acknowledge on.
        await asyncio.sleep(0.2)  # Several tries long.
        broker.start()
        await until(lambda: link.status.opened == 2)
        await broker.publish("tags/1", b"after")
        await until(lambda: b"after" in intake.payloads)
    events = [line for line in told(log) if line[0] != "link lost"]
    assert events == [("link open", "info"), ("link found again", "warning")]
    assert len(told(log)) <= 4
    assert link.status.reason is None


async def test_a_broker_that_is_not_there_at_the_start_is_waited_for(
    start_broker: StartBroker, run: Run, until: Until
) -> None:
    broker = start_broker()
    broker.kill()
    with capture_logs() as log:
        link = run(broker.url, Intake())
        await until(lambda: link.status.state is LinkState.FAILED)
        await asyncio.sleep(0.2)  # Several tries long.
        broker.start()
        await until(lambda: link.status.opened)
    assert told(log) == [("link lost", "warning"), ("link found again", "warning")]
    assert "refused" in str(log[0]["reason"])


async def test_a_broker_that_freezes_is_noticed_by_its_silence(
    broker: Broker, run: Run, until: Until
) -> None:
    link = run(broker.url, Intake())
    await until(lambda: link.status.opened)
    broker.send(signal.SIGSTOP)
    try:
        await until(lambda: "Keep alive timeout" in (link.status.reason or ""))
        await until(lambda: "does not answer" in (link.status.reason or ""))
    finally:
        broker.send(signal.SIGCONT)
    await until(lambda: link.status.opened == 2)


async def test_a_wrong_password_is_told_and_the_right_one_is_taken_once_it_is_there(
    tmp_path: Path, start_broker: StartBroker, run: Run, until: Until
) -> None:
    users = _users(tmp_path)
    broker = start_broker(f"allow_anonymous false\npassword_file {users}\n")
    password = tmp_path / "password"
    with capture_logs() as log:
        link = run(broker.url, Intake(), username="heath", password_file=str(password))
        await until(lambda: link.status.state is LinkState.FAILED)
        assert str(password) in (link.status.reason or "")
        password.write_text("mistaken\n")
        await until(lambda: "Not authorized" in (link.status.reason or ""))
        password.write_text("right\n")
        await until(lambda: link.status.opened)
    reasons = [str(line["reason"]) for line in log if line["event"] == "link lost"]
    assert len(reasons) == 2
    assert "password_file" in str(log[1]["advice"])
    assert not any("mistaken" in str(line) for line in log)


def _users(folder: Path) -> Path:
    users = folder / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "heath", "right"], check=True)
    return users


def _certificates(folder: Path) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        " -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    files = ("-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem"))
    subprocess.run([*shlex.split(command), *files], check=True, capture_output=True)


async def test_tls_with_certificates_on_both_sides(
    tmp_path: Path, start_broker: StartBroker, run: Run, until: Until
) -> None:
    _certificates(tmp_path)
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    tls_port = free_port()
    broker = start_broker(
        f"allow_anonymous true\nlistener {tls_port} 127.0.0.1\nrequire_certificate true\n"
        f"cafile {certificate}\ncertfile {certificate}\nkeyfile {key}\n"
    )
    link = run(
        f"mqtts://localhost:{tls_port}",
        Intake(),
        ca_file=certificate,
        certificate_file=certificate,
        key_file=key,
    )
    await until(lambda: link.status.opened)
    await broker.publish("tags/1", b"one", b"x" * 100_000, b"three")
    await until(lambda: len(link.intake.messages) == 3)


# The paho client leaves a socket whose handshake failed to the interpreter, which closes it.
@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_a_broker_whose_certificate_nobody_vouches_for_is_not_spoken_to(
    tmp_path: Path, start_broker: StartBroker, run: Run, until: Until
) -> None:
    _certificates(tmp_path)
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    tls_port = free_port()
    start_broker(
        f"allow_anonymous true\nlistener {tls_port} 127.0.0.1\n"
        f"certfile {certificate}\nkeyfile {key}\n"
    )
    link = run(f"mqtts://localhost:{tls_port}", Intake())
    await until(lambda: link.status.state is LinkState.FAILED)
    assert "certificate verify failed" in (link.status.reason or "")
    assert "ca_file" in (link.status.reason or "")
    missing = run(f"mqtts://localhost:{tls_port}", Intake(), ca_file=str(tmp_path / "none.pem"))
    await until(lambda: missing.status.state is LinkState.FAILED)
    assert "No such file" in (missing.status.reason or "")
    assert not link.task.done()


@pytest.mark.skipif(DYNAMIC_SECURITY is None, reason="mosquitto came without its security plugin")
async def test_a_subscription_that_the_broker_refuses_is_told_and_counted(
    tmp_path: Path, start_broker: StartBroker, run: Run, until: Until
) -> None:
    rules = {
        "defaultACLAccess": {
            "publishClientSend": True,
            "publishClientReceive": True,
            "subscribe": False,
            "unsubscribe": True,
        },
        "anonymousGroup": "all",
        "clients": [],
        "groups": [{"groupname": "all", "roles": [{"rolename": "reader"}], "clients": []}],
        "roles": [
            {
                "rolename": "reader",
                "acls": [{"acltype": "subscribePattern", "topic": "tags/#", "allow": True}],
            }
        ],
    }
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    broker = start_broker(
        f"allow_anonymous true\nplugin {DYNAMIC_SECURITY}\n"
        f"plugin_opt_config_file {tmp_path / 'rules.json'}\n"
    )
    with capture_logs() as log:
        link = run(broker.url, Intake(), "tags/#", "secret/#", "wrong/#/filter")
        await until(lambda: link.status.opened)
        await broker.publish("tags/1", b"one")
        await until(lambda: link.intake.messages)
        refused = run(broker.url, Intake(), "secret/#", name="other", client_id="other")
        await until(lambda: refused.status.state is LinkState.FAILED)
    topics = [line["topic"] for line in log if line["event"] == "subscription refused"]
    assert topics == ["secret/#", "wrong/#/filter"]
    assert link.status.turned_away["subscription_refused"] == 2
    assert link.status.reason == "the broker refuses the topics secret/#, wrong/#/filter"
    assert "refuses every subscription" in (refused.status.reason or "")


async def test_a_message_that_is_too_long_is_counted_and_acknowledged(
    broker: Broker, run: Run, until: Until
) -> None:
    link = run(broker.url, Intake())
    await until(lambda: link.status.opened)
    longest = b"x" * MAX_MQTT_PAYLOAD_BYTES
    await broker.publish("tags/1", longest, *[longest + b"x"] * 25, b"after")
    await until(lambda: len(link.intake.messages) == 2)
    assert link.intake.payloads == [longest, b"after"]
    assert link.status.turned_away == {"message_too_long": 25}


async def test_a_message_of_10_mb_is_counted_and_the_link_hears_on(
    broker: Broker, run: Run, until: Until
) -> None:
    link = run(broker.url, Intake())
    await until(lambda: link.status.opened)
    await broker.publish("tags/1", b"x" * 10_000_000, b"after")
    await until(lambda: link.intake.payloads == [b"after"])
    assert link.status.turned_away == {"message_too_long": 1}
    assert link.status.opened == 1


async def test_a_retained_message_is_old_and_only_counted(
    broker: Broker, run: Run, until: Until
) -> None:
    await broker.publish("tags/1", b"of last year", retain=True)
    link = run(broker.url, Intake())
    await until(lambda: link.status.turned_away["retained"] == 1)
    await broker.publish("tags/1", b"new", retain=True)
    await until(lambda: link.intake.messages)
    assert link.intake.payloads == [b"new"]


@pytest.mark.parametrize("broker_url", ["mqtt://127.0.0.1:99999", f"mqtt://{'a' * 70}.example"])
async def test_an_address_that_cannot_be_is_told(broker_url: str, run: Run, until: Until) -> None:
    link = run(broker_url, Intake())
    await until(lambda: link.status.state is LinkState.FAILED)
    assert broker_url in (link.status.reason or "")
    assert not link.task.done()
