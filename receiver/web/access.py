"""Who may look at the station, and who may change it.

- Whoever may open the Unix socket beside the store may do everything: its file says who.
- Without a password, machines of the station's own networks may look, where `page.read` is
  `network`: private, link-local, unique-local and carrier-grade addresses (RFC 1918, 3927, 4193,
  4291, 6598), and IPv6 addresses of the very network over which the request came, since names of
  machines at home lead to public ones. A request that came through a proxy is nobody's; what the
  proxy says is not believed.
- A browser that was sent here by a name that anybody may own could be somebody else's tool ("DNS
  rebinding"), so without a password it must have used an address, a local name or the host's own.
- Whatever changes the station needs a session, its CSRF token, and the page's own origin.
"""

import hmac
import ipaddress
import socket
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

import msgspec

from receiver.watch_settings import PageSettings
from receiver.web.password import LoginLimiter, Password
from receiver.web.sessions import Session, Sessions

OWN_NETWORKS: Final = tuple(
    ipaddress.ip_network(each)
    for each in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "fc00::/7",
        "fe80::/10",
    )
)
_LOCAL_ENDINGS: Final = (".local", ".localhost", ".lan", ".home.arpa", ".internal", ".localdomain")
"""Names that no public registry gives away. Sources: RFC 6762, 6761, 8375; ICANN (.internal)."""


class Peer(StrEnum):
    """Where a request came from."""

    LOCAL = "local"
    """Over the Unix socket."""
    LOOPBACK = "loopback"
    NETWORK = "network"
    """The station's own network."""
    OUTSIDE = "outside"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as far as it matters who asks."""

    address: str
    """Empty over the Unix socket."""
    reached: str = ""
    """The station's own address that it came to."""
    is_local: bool = False
    is_proxied: bool = False
    host: str = ""
    origin: str | None = None
    token: str | None = None
    """The session's, from the cookie."""
    csrf: str | None = None

    @property
    def peer(self) -> Peer:
        """Where it came from."""
        if self.is_local:
            return Peer.LOCAL
        address = _address(self.address)
        if address is None or self.is_proxied:
            return Peer.OUTSIDE
        if address.is_loopback:
            return Peer.LOOPBACK
        is_own = any(address in network for network in OWN_NETWORKS)
        is_near = _is_one_network(address, _address(self.reached))
        return Peer.NETWORK if is_own or is_near else Peer.OUTSIDE


def _address(told: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(told.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_one_network(
    one: ipaddress.IPv4Address | ipaddress.IPv6Address,
    other: ipaddress.IPv4Address | ipaddress.IPv6Address | None,
) -> bool:
    """Tell whether two IPv6 addresses share a link: the first half of an address names it."""
    if not isinstance(one, ipaddress.IPv6Address) or not isinstance(other, ipaddress.IPv6Address):
        return False
    return int(one) >> 64 == int(other) >> 64


class Denial(msgspec.Struct, frozen=True):
    """Why something is not allowed, and what would help."""

    status: int
    error: str
    do: str


class Access:
    """Answers whether a caller may."""

    def __init__(
        self, settings: Callable[[], PageSettings], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._now_s = now_s
        self._password = Password()
        self._limiter = LoginLimiter()
        self.sessions = Sessions()

    @property
    def has_password(self) -> bool:
        """Whether there is a password to tell."""
        return self._digest() is not None

    def session(self, caller: Caller) -> Session | None:
        """Return the caller's session."""
        return self.sessions.of(caller.token, self._digest(), self._now_s())

    def reading(self, caller: Caller) -> Denial | None:
        """Return why the caller may not look, None where it may."""
        if caller.peer is Peer.LOCAL or self.session(caller) is not None:
            return None
        if self._settings().read == "password":
            return Denial(401, "this station shows itself to who knows its password", "log in")
        log_in = "log in" if self.has_password else "ask its owner for a password"
        if caller.peer is Peer.OUTSIDE:
            return Denial(
                403,
                "without a password this station shows itself on its own network only",
                f"join its network, or {log_in}",
            )
        if not is_own_name(caller.host):
            return Denial(
                403,
                "this name of the station may be anybody's",
                f"open the page by the station's address, or {log_in}",
            )
        return None

    def changing(self, caller: Caller) -> Denial | None:
        """Return why the caller may not change the station, None where it may."""
        if caller.peer is Peer.LOCAL:
            return None
        if not self.has_password:
            return Denial(
                403,
                "nothing can be changed here, since the page has no password",
                "set page.password_file in the configuration, or use the command at the station",
            )
        session = self.session(caller)
        if session is None:
            return Denial(401, "changing the station needs its password", "log in")
        if not is_same_origin(caller) or not _same(caller.csrf, session.csrf):
            return Denial(403, "this did not come from the station's page", "load the page again")
        return None

    def on_this_machine(self, caller: Caller) -> Denial | None:
        """Return why something that is for this machine alone is not for the caller."""
        if caller.peer is Peer.LOCAL:
            return None
        if caller.peer is Peer.LOOPBACK and is_own_name(caller.host):
            return None
        return Denial(403, "this is told to this machine only", "ask at http://127.0.0.1/")

    def log_in(self, caller: Caller, tried: str) -> tuple[str, Session] | Denial:
        """Return the token and session of a caller who knows the password, else why not."""
        digest = self._digest()
        if digest is None:
            return Denial(
                403, "the page has no password", "set page.password_file in the configuration"
            )
        if not is_same_origin(caller):
            return Denial(403, "this did not come from the station's page", "load the page again")
        now_s = self._now_s()
        wait_s = self._limiter.wait_s(caller.address, now_s)
        if wait_s > 0:
            return Denial(
                429, "too many wrong passwords", f"try again in {wait_s // 60 + 1:.0f} min"
            )
        if not self._password.matches(tried, digest):
            self._limiter.was_wrong(caller.address, now_s)
            return Denial(401, "wrong password", "try again")
        self._limiter.was_right(caller.address)
        self.sessions.end(caller.token)
        return self.sessions.begin(digest, now_s)

    def wait_s(self, caller: Caller) -> float:
        """Return how long the caller must wait before it may try a password."""
        return self._limiter.wait_s(caller.address, self._now_s())

    def _digest(self) -> bytes | None:
        return self._password.digest(self._settings().password_file)


def is_own_name(host: str) -> bool:
    """Tell whether a Host header is an address or a name that no stranger can own."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    name = name.rstrip(".").lower()
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        own = socket.gethostname().lower()
        return bool(name) and ("." not in name or name.endswith(_LOCAL_ENDINGS) or name == own)
    return True


def is_same_origin(caller: Caller) -> bool:
    """Tell whether a request was made by a page from here; tools that are no browsers tell none."""
    if caller.origin is None:
        return True
    try:
        return urlsplit(caller.origin).netloc.lower() == caller.host.lower() != ""
    except ValueError:
        return False


def _same(told: str | None, wanted: str) -> bool:
    return told is not None and hmac.compare_digest(told.encode(), wanted.encode())
