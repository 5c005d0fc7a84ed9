"""The page's password, as its file says at this moment, and who guesses it how often."""

import hashlib
import hmac
import ipaddress
import secrets
from collections import OrderedDict
from pathlib import Path
from typing import Final

import structlog

from receiver.limits import (
    LOGIN_ADDRESSES,
    LOGIN_FORGOTTEN_S,
    LOGIN_FREE_TRIES,
    LOGIN_FREE_TRIES_IN_TOTAL,
    LOGIN_WAIT_FIRST_S,
    LOGIN_WAIT_LONGEST_S,
)

log = structlog.get_logger()

_LONGEST_FILE_BYTES: Final = 4096
_MOST_DOUBLINGS: Final = 20
_IPV6_NETWORK_BITS: Final = 64
"""What one customer of a provider has at the least: its addresses count as one."""


class Password:
    """The password in a file; read again when the file changes, remembered as a keyed digest."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._path: str | None = None
        self._file: tuple[int, int, int] | None = None
        self._digest: bytes | None = None
        self._told = False

    def digest(self, path: str | None) -> bytes | None:
        """Return what stands for the password in the file now, None where there is none."""
        if path is None:
            return None
        try:
            status = Path(path).stat()
            file = (status.st_mtime_ns, status.st_size, status.st_ino)
            if (path, file) != (self._path, self._file):
                self._digest = self._read(path)
                self._path, self._file = path, file
                self._told = False
        except OSError as error:
            self._path = self._digest = None
            if not self._told:
                self._told = True
                log.warning(
                    "password of the page cannot be read; nothing can be changed on it",
                    path=path,
                    reason=error.strerror,
                    do="see page.password_file",
                )
        return self._digest

    def matches(self, tried: str, digest: bytes) -> bool:
        """Tell whether a text is the password, in a time that tells nothing about it."""
        return hmac.compare_digest(self._digest_of(tried.encode("utf-8", "replace")), digest)

    def _read(self, path: str) -> bytes | None:
        with Path(path).open("rb") as file:
            first_line = file.readline(_LONGEST_FILE_BYTES).strip()
        return self._digest_of(first_line) if first_line else None

    def _digest_of(self, text: bytes) -> bytes:
        return hashlib.blake2b(text, key=self._key, digest_size=32).digest()


class _Tries:
    """Wrong passwords from one place."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._wrong = 0
        self._last_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """Return how long to wait before the next try, 0 where it may be made."""
        if now_s - self._last_s >= LOGIN_FORGOTTEN_S:
            self._wrong = 0
        beyond = self._wrong - self._free
        if beyond < 0:
            return 0.0
        wait_s = min(LOGIN_WAIT_FIRST_S * (1 << min(beyond, _MOST_DOUBLINGS)), LOGIN_WAIT_LONGEST_S)
        return max(0.0, self._last_s + wait_s - now_s)

    def was_wrong(self, now_s: float) -> None:
        self._wrong += 1
        self._last_s = now_s


class LoginLimiter:
    """Makes guessing slow: for each address, and for all of them together."""

    def __init__(self, addresses: int = LOGIN_ADDRESSES) -> None:
        self._most = addresses
        self._in_total = _Tries(LOGIN_FREE_TRIES_IN_TOTAL)
        self._by_address: OrderedDict[str, _Tries] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """Return how long this address must wait before its next try."""
        tries = self._by_address.get(_network(address))
        own_s = tries.wait_s(now_s) if tries else 0.0
        return max(own_s, self._in_total.wait_s(now_s))

    def was_wrong(self, address: str, now_s: float) -> None:
        """Count a wrong password."""
        network = _network(address)
        tries = self._by_address.pop(network, None) or _Tries(LOGIN_FREE_TRIES)
        tries.was_wrong(now_s)
        self._by_address[network] = tries
        while len(self._by_address) > self._most:
            self._by_address.popitem(last=False)
        self._in_total.was_wrong(now_s)

    def was_right(self, address: str) -> None:
        """Forget the wrong ones of an address that knows it after all."""
        self._by_address.pop(_network(address), None)


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(parsed), _IPV6_NETWORK_BITS), strict=False))
    return str(parsed)
