"""Who may look at the page, who may change the station, and how guessing is made slow."""

import asyncio
import os
import re
from pathlib import Path

import msgspec
import pytest
from page_rig import JSON, PASSWORD, serving
from structlog.testing import capture_logs

from receiver.limits import (
    LOGIN_ADDRESSES,
    LOGIN_FORGOTTEN_S,
    LOGIN_FREE_TRIES,
    LOGIN_FREE_TRIES_IN_TOTAL,
    LOGIN_WAIT_LONGEST_S,
    PAGE_SESSION_IDLE_S,
    PAGE_SESSION_LONGEST_S,
    PAGE_SESSIONS,
)
from receiver.watch_settings import PageSettings
from receiver.web.access import Access, Caller, Denial, Peer, is_own_name
from receiver.web.app import May
from receiver.web.password import LoginLimiter

HERE = Caller(address="192.168.1.20", host="192.168.1.5:8434")
OUTSIDE = Caller(address="203.0.113.7", host="203.0.113.1:8434")
MARK = {"tag_id": "78664C33"}


class Time:
    """A steady clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        """Return it."""
        return self.now_s


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


@pytest.fixture
def guarded(secret: Path, clock: Time) -> Access:
    settings = PageSettings(password_file=str(secret))
    return Access(lambda: settings, clock)


def logged_in(access: Access, caller: Caller = HERE, password: str = PASSWORD) -> Caller:
    """Return the caller with the session that it got."""
    outcome = access.log_in(caller, password)
    assert not isinstance(outcome, Denial), outcome
    token, session = outcome
    return msgspec.structs.replace(caller, token=token, csrf=session.csrf)


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("127.0.0.1", Peer.LOOPBACK),
        ("127.9.9.9", Peer.LOOPBACK),
        ("::1", Peer.LOOPBACK),
        ("::ffff:127.0.0.1", Peer.LOOPBACK),
        ("10.1.2.3", Peer.NETWORK),
        ("172.31.255.255", Peer.NETWORK),
        ("192.168.4.1", Peer.NETWORK),
        ("::ffff:192.168.4.1", Peer.NETWORK),
        ("169.254.7.7", Peer.NETWORK),
        ("100.64.0.1", Peer.NETWORK),
        ("100.127.255.255", Peer.NETWORK),
        ("fd12::1", Peer.NETWORK),
        ("fe80::1%eth0", Peer.NETWORK),
        ("172.32.0.1", Peer.OUTSIDE),
        ("192.169.0.1", Peer.OUTSIDE),
        ("100.128.0.1", Peer.OUTSIDE),
        ("198.18.0.1", Peer.OUTSIDE),
        ("0.0.0.0", Peer.OUTSIDE),  # noqa: S104  Nobody's address.
        ("8.8.8.8", Peer.OUTSIDE),
        ("2001:db8::1", Peer.OUTSIDE),
        ("::ffff:8.8.8.8", Peer.OUTSIDE),
        ("", Peer.OUTSIDE),
        ("no address", Peer.OUTSIDE),
    ],
)
def test_an_address_belongs_to_the_stations_own_network_or_not(address: str, peer: Peer) -> None:
    assert Caller(address=address).peer is peer


@pytest.mark.parametrize(
    ("address", "reached", "peer"),
    [
        ("2001:db8:1:2::99", "2001:db8:1:2::5", Peer.NETWORK),
        ("2001:db8:1:3::99", "2001:db8:1:2::5", Peer.OUTSIDE),
        ("203.0.113.7", "203.0.113.8", Peer.OUTSIDE),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.8", Peer.OUTSIDE),
        ("2001:db8:1:2::99", "", Peer.OUTSIDE),
    ],
)
def test_a_public_address_is_near_on_the_same_ipv6_network_only(
    address: str, reached: str, peer: Peer
) -> None:
    assert Caller(address=address, reached=reached).peer is peer
    assert Caller(address=address, reached=reached, is_proxied=True).peer is Peer.OUTSIDE


def test_whoever_comes_through_a_proxy_is_nobody_known() -> None:
    assert Caller(address="127.0.0.1", is_proxied=True).peer is Peer.OUTSIDE
    assert Caller(address="192.168.1.2", is_proxied=True).peer is Peer.OUTSIDE


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("192.168.1.5:8434", True),
        ("[fe80::1]:8434", True),
        ("localhost:8434", True),
        ("marsh.local", True),
        ("MARSH.Local.", True),
        ("station:8434", True),
        ("station.lan", True),
        ("station.example.org:8434", False),
        ("local", True),
        ("evil.local.example", False),
        ("", False),
        ("[", False),
    ],
)
def test_a_name_that_a_stranger_can_own_is_not_the_stations(host: str, *, is_own: bool) -> None:
    assert is_own_name(host) is is_own


def test_the_own_network_may_look_without_a_password_and_nobody_else() -> None:
    access = Access(PageSettings)
    assert access.reading(HERE) is None
    assert access.reading(Caller(address="127.0.0.1", host="localhost:8434")) is None
    denial = access.reading(OUTSIDE)
    assert denial is not None
    assert denial.status == 403
    rebound = access.reading(msgspec.structs.replace(HERE, host="evil.example:8434"))
    assert rebound is not None
    assert "address" in rebound.do


def test_whoever_knows_the_password_may_look_from_anywhere(guarded: Access) -> None:
    assert guarded.reading(OUTSIDE) is not None
    assert guarded.reading(logged_in(guarded, OUTSIDE)) is None


def test_a_page_for_who_knows_the_password_shows_itself_to_nobody_else(secret: Path) -> None:
    access = Access(lambda: PageSettings(password_file=str(secret), read="password"))
    denial = access.reading(HERE)
    assert denial is not None
    assert denial.status == 401
    assert access.reading(logged_in(access)) is None
    assert access.reading(Caller(address="", is_local=True)) is None


def test_without_a_password_nothing_can_be_changed_over_the_network() -> None:
    access = Access(PageSettings)
    denial = access.changing(HERE)
    assert denial is not None
    assert denial.status == 403
    assert "page.password_file" in denial.do
    assert isinstance(access.log_in(HERE, ""), Denial)
    assert access.changing(Caller(address="", is_local=True)) is None


def test_a_change_needs_session_token_and_origin(guarded: Access) -> None:
    caller = logged_in(guarded)
    assert guarded.changing(caller) is None
    own = msgspec.structs.replace(caller, origin=f"http://{HERE.host}")
    assert guarded.changing(own) is None
    wrong = (
        {"token": None},
        {"token": "x" * 43},
        {"csrf": None},
        {"csrf": "x" * 43},
        {"csrf": "ä"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
    )
    for change in wrong:
        assert guarded.changing(msgspec.structs.replace(caller, **change)) is not None, change


def test_a_login_that_another_site_sends_is_refused(guarded: Access) -> None:
    sent = msgspec.structs.replace(HERE, origin="http://evil.example")
    assert isinstance(guarded.log_in(sent, PASSWORD), Denial)


@pytest.mark.parametrize("idle_s", [PAGE_SESSION_IDLE_S, PAGE_SESSION_LONGEST_S])
def test_a_session_ends_when_it_is_not_used(guarded: Access, clock: Time, idle_s: float) -> None:
    caller = logged_in(guarded)
    clock.now_s += PAGE_SESSION_IDLE_S - 1
    assert guarded.changing(caller) is None
    clock.now_s += idle_s
    assert guarded.changing(caller) is not None


def test_a_session_ends_after_a_day_however_much_it_is_used(guarded: Access, clock: Time) -> None:
    caller = logged_in(guarded)
    end_s = clock.now_s + PAGE_SESSION_LONGEST_S
    while clock.now_s < end_s - 1800:
        clock.now_s += 1800
        assert guarded.changing(caller) is None
    clock.now_s += 1800
    assert guarded.changing(caller) is not None


def test_a_new_password_ends_every_session(guarded: Access, secret: Path) -> None:
    caller = logged_in(guarded)
    secret.write_text("another one\n")
    os.utime(secret, ns=(1, 1))
    assert guarded.changing(caller) is not None
    assert isinstance(guarded.log_in(HERE, PASSWORD), Denial)
    assert guarded.changing(logged_in(guarded, password="another one")) is None  # noqa: S106
    secret.unlink()
    assert not guarded.has_password


def test_sessions_are_bounded_and_the_idlest_ends(guarded: Access) -> None:
    first = logged_in(guarded)
    second = logged_in(guarded, msgspec.structs.replace(HERE, address="192.168.1.21"))
    for number in range(PAGE_SESSIONS - 1):
        assert guarded.changing(first) is None
        logged_in(guarded, Caller(address=f"10.0.0.{number}", host=HERE.host))
    assert len(guarded.sessions) == PAGE_SESSIONS
    assert guarded.changing(first) is None
    assert guarded.changing(second) is not None


def test_logging_in_again_ends_the_session_before(guarded: Access) -> None:
    first = logged_in(guarded)
    second = logged_in(guarded, first)
    assert guarded.changing(first) is not None
    assert guarded.changing(second) is None


def test_tokens_are_not_kept_as_they_are(guarded: Access) -> None:
    caller = logged_in(guarded)
    assert caller.token is not None
    kept = repr(guarded.sessions._sessions)
    assert caller.token not in kept
    assert PASSWORD not in kept + repr(vars(guarded._password))


def test_wrong_passwords_make_an_address_wait_longer_and_longer(
    guarded: Access, clock: Time
) -> None:
    for _ in range(LOGIN_FREE_TRIES):
        outcome = guarded.log_in(HERE, "guess")
        assert isinstance(outcome, Denial)
        assert outcome.status == 401
    waits = []
    for _ in range(8):
        # The right one does not help either while it waits: whether it is right is not told.
        outcome = guarded.log_in(HERE, PASSWORD)
        assert isinstance(outcome, Denial)
        assert outcome.status == 429
        waits.append(guarded.wait_s(HERE))
        clock.now_s += waits[-1]
        assert isinstance(guarded.log_in(HERE, "guess"), Denial)
    assert waits[:3] == [30, 60, 120]
    assert waits[-1] == LOGIN_WAIT_LONGEST_S
    other = Caller(address="192.168.1.99", host=HERE.host)
    logged_in(guarded, other)
    clock.now_s += LOGIN_WAIT_LONGEST_S
    logged_in(guarded)
    # Whoever knows it after all has all tries again.
    for _ in range(LOGIN_FREE_TRIES):
        assert guarded.wait_s(HERE) == 0
        guarded.log_in(HERE, "guess")


def test_wrong_passwords_are_forgotten_after_an_hour(guarded: Access, clock: Time) -> None:
    for _ in range(LOGIN_FREE_TRIES):
        guarded.log_in(HERE, "guess")
    clock.now_s += LOGIN_FORGOTTEN_S
    for _ in range(LOGIN_FREE_TRIES):
        assert guarded.wait_s(HERE) == 0
        guarded.log_in(HERE, "guess")


def test_many_addresses_guess_no_faster_and_fill_no_memory() -> None:
    limiter = LoginLimiter()
    tried = 0
    for number in range(10_000):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        if limiter.wait_s(address, 0.0) == 0:
            limiter.was_wrong(address, 0.0)
            tried += 1
    assert tried == LOGIN_FREE_TRIES_IN_TOTAL
    for number in range(10 * LOGIN_ADDRESSES):
        limiter.was_wrong(f"10.1.{number >> 8}.{number & 255}", 0.0)
    assert len(limiter._by_address) == LOGIN_ADDRESSES


def test_the_addresses_of_one_ipv6_network_count_as_one() -> None:
    limiter = LoginLimiter()
    for number in range(LOGIN_FREE_TRIES):
        limiter.was_wrong(f"fd12::{number + 1:x}", 0.0)
    assert limiter.wait_s("fd12::ffff:1", 0.0) > 0
    assert limiter.wait_s("fd12:0:0:1::1", 0.0) == 0


async def test_every_route_that_tells_of_the_station_asks_who_looks(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        proxied = {"X-Forwarded-For": "192.168.1.1"}
        for route in rig.page.routes:
            path = re.sub(r"{\w+}", "x", route.path.replace("{ending:csv|json}", "csv"))
            status = await rig.status_of(
                route.method, path, headers=proxied, json={} if route.method == "POST" else None
            )
            open_to_all = route.may is May.EVERYBODY
            assert (status == 403) is not open_to_all, (route, status)
            if route.method not in {"GET", "HEAD"} and not open_to_all:
                assert route.may is May.CHANGE, route
        assert rig.kept == []


async def test_every_change_needs_the_password(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        assert await rig.status_of("POST", "/api/walk-test/mark", json=MARK) == 403
        rig.set_password()
        for route in rig.page.routes:
            if route.may is May.CHANGE:
                path = re.sub(r"{\w+}", "x", route.path)
                assert await rig.status_of(route.method, path, json=MARK) == 401, route
        token = await rig.log_in()
        assert await rig.status_of("POST", "/api/walk-test/mark", json=MARK) == 403
        assert await rig.status_of("POST", "/api/walk-test/mark", json=MARK, headers=token) == 200
        from_elsewhere = token | {"Origin": "http://evil.example"}
        assert (
            await rig.status_of("POST", "/api/walk-test/mark", json=MARK, headers=from_elsewhere)
            == 403
        )
        assert len(rig.kept) == 1


async def test_a_change_that_is_no_json_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        rig.set_password()
        token = await rig.log_in()
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            headers = token | {"Content-Type": kind}
            status = await rig.status_of(
                "POST", "/api/walk-test/mark", data=b'{"tag_id": "78664C33"}', headers=headers
            )
            assert status == 415
        assert rig.kept == []


async def test_the_session_says_what_the_caller_may(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        told = await rig.get("/api/session")
        assert told == {
            "can_change": False,
            "can_read": True,
            "password_set": False,
            "csrf": None,
        }
        rig.set_password()
        rig.turn_page(read="password")
        told = await rig.get("/api/session")
        assert (told["can_read"], told["password_set"]) == (False, True)
        assert await rig.status_of("GET", "/api/status") == 401
        token = await rig.log_in()
        told = await rig.get("/api/session")
        assert told == {
            "can_change": True,
            "can_read": True,
            "password_set": True,
            "csrf": token["X-CSRF-Token"],
        }
        async with rig.client.delete("/api/session") as answer:
            assert (await answer.json())["can_change"] is False
        assert await rig.status_of("GET", "/api/status") == 401
        local = await asyncio.to_thread(rig.local.get, "/api/session")
        assert local["can_change"] is True


async def test_the_cookie_is_for_the_browser_alone(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        rig.set_password()
        async with rig.client.post("/api/session", json={"password": PASSWORD}) as answer:
            cookie = answer.headers["Set-Cookie"]
        for part in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="):
            assert part in cookie
        assert "Domain" not in cookie
        assert cookie.startswith(f"stopover-{rig.url.rpartition(':')[2]}=")


async def test_guessing_over_the_network_is_answered_with_a_wait(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        rig.set_password()
        for _ in range(LOGIN_FREE_TRIES):
            assert await rig.status_of("POST", "/api/session", json={"password": "x"}) == 401
        async with rig.client.post("/api/session", json={"password": PASSWORD}) as answer:
            assert answer.status == 429
            assert 0 < int(answer.headers["Retry-After"]) <= 30


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"password": 1}', b'{"password": null}', b"\xff" * 10]
)
async def test_a_login_that_is_garbage_is_no_try(tmp_path: Path, body: bytes) -> None:
    async with serving(tmp_path) as rig:
        rig.set_password()
        for _ in range(LOGIN_FREE_TRIES + 1):
            assert await rig.status_of("POST", "/api/session", data=body, headers=JSON) == 400
        await rig.log_in()


async def test_a_password_file_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        rig.turn_page(password_file=str(tmp_path / "none"))
        with capture_logs() as told:
            for _ in range(3):
                assert (await rig.get("/api/session"))["password_set"] is False
        assert [line["log_level"] for line in told] == ["warning"]
        (tmp_path / "none").write_text("\n")
        assert (await rig.get("/api/session"))["password_set"] is False
