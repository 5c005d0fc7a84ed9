"""Who is logged in: random tokens, kept in memory as digests, for a while."""

import hashlib
import hmac
import secrets
from collections import OrderedDict

import msgspec

from receiver.limits import PAGE_SESSION_IDLE_S, PAGE_SESSION_LONGEST_S, PAGE_SESSIONS


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One browser that told the password."""

    csrf: str
    """What the page must send along with whatever changes the station."""
    password: bytes
    """Digest of the password that it told: another one ends the session."""
    begun_s: float
    used_s: float


class Sessions:
    """The sessions; times are a steady clock's seconds."""

    def __init__(self, most: int = PAGE_SESSIONS) -> None:
        self._most = most
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, password: bytes, now_s: float) -> tuple[str, Session]:
        """Begin one; return its token, which nobody can guess, and the session."""
        token = secrets.token_urlsafe(32)
        session = Session(
            csrf=secrets.token_urlsafe(32), password=password, begun_s=now_s, used_s=now_s
        )
        self._sessions[_digest(token)] = session
        while len(self._sessions) > self._most:
            self._sessions.popitem(last=False)
        return token, session

    def of(self, token: str | None, password: bytes | None, now_s: float) -> Session | None:
        """Return the session of a token, None where it has ended or the password is another now."""
        if not token or password is None:
            return None
        place = _digest(token)
        session = self._sessions.pop(place, None)
        if session is None or not _lasts(session, now_s):
            return None
        if not hmac.compare_digest(session.password, password):
            return None
        used = msgspec.structs.replace(session, used_s=now_s)
        self._sessions[place] = used  # The one idle for longest stands first.
        return used

    def end(self, token: str | None) -> None:
        """End one."""
        if token:
            self._sessions.pop(_digest(token), None)

    def __len__(self) -> int:
        return len(self._sessions)


def _lasts(session: Session, now_s: float) -> bool:
    return (
        now_s - session.used_s < PAGE_SESSION_IDLE_S
        and now_s - session.begun_s < PAGE_SESSION_LONGEST_S
    )


def _digest(token: str) -> bytes:
    """Return what is remembered of a token: looking it up then tells nothing by its time."""
    return hashlib.blake2b(token.encode("utf-8", "replace"), digest_size=32).digest()
