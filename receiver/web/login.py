"""Logging in to the page and out of it."""

from typing import Final

import msgspec
from aiohttp import hdrs, web

from receiver.limits import PAGE_SESSION_LONGEST_S
from receiver.web.access import Access, Caller, Denial
from receiver.web.answers import Refused, answer, body_of, is_local

_COOKIE: Final = "stopover"
_PROXY_HEADERS: Final = (hdrs.FORWARDED, hdrs.X_FORWARDED_FOR, "X-Real-IP", hdrs.VIA)
"""Whoever sends one of these is no browser on the station's network, or wants to look like none."""


class _Login(msgspec.Struct, frozen=True):
    password: str


def caller_of(request: web.Request) -> Caller:
    """Return who asks."""
    told = request.transport.get_extra_info("sockname") if request.transport else None
    return Caller(
        address=request.remote or "",
        reached=told[0] if isinstance(told, tuple) else "",
        is_local=is_local(request),
        is_proxied=any(name in request.headers for name in _PROXY_HEADERS),
        host=request.headers.get(hdrs.HOST, ""),
        origin=request.headers.get(hdrs.ORIGIN),
        token=request.cookies.get(_cookie(request)),
        csrf=request.headers.get("X-CSRF-Token"),
    )


def refused(denial: Denial) -> Refused:
    """Return a denial as an answer."""
    return Refused(denial.status, denial.error, denial.do)


class Login:
    """The routes of /api/session."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer GET: what the caller may."""
        return answer(self._rights(caller_of(request)))

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """Answer POST: log in."""
        told = await body_of(request, _Login)
        caller = caller_of(request)
        outcome = self._access.log_in(caller, told.password)
        if isinstance(outcome, Denial):
            problem = refused(outcome)
            if outcome.status == 429:  # noqa: PLR2004  Too Many Requests.
                problem.headers = {hdrs.RETRY_AFTER: f"{self._access.wait_s(caller):.0f}"}
            raise problem
        token, session = outcome
        response = answer(
            {"can_change": True, "can_read": True, "password_set": True, "csrf": session.csrf}
        )
        response.set_cookie(
            _cookie(request),
            token,
            max_age=int(PAGE_SESSION_LONGEST_S),
            path="/",
            httponly=True,
            samesite="Strict",
            secure=request.secure,
        )
        return response

    async def end(self, request: web.Request) -> web.StreamResponse:
        """Answer DELETE: log out."""
        caller = caller_of(request)
        self._access.sessions.end(caller.token)
        response = answer(self._rights(msgspec.structs.replace(caller, token=None)))
        response.del_cookie(_cookie(request), path="/", httponly=True, samesite="Strict")
        return response

    def _rights(self, caller: Caller) -> dict[str, object]:
        access = self._access
        session = access.session(caller)
        return {
            "can_change": caller.is_local or session is not None,
            "can_read": access.reading(caller) is None,
            "password_set": access.has_password,
            "csrf": session.csrf if session else None,
        }


def _cookie(request: web.Request) -> str:
    """Return the cookie's name: browsers keep one jar for all ports of a machine."""
    told = request.transport.get_extra_info("sockname") if request.transport else None
    return f"{_COOKIE}-{told[1]}" if isinstance(told, tuple) else _COOKIE
