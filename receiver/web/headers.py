"""What every answer of the page tells a browser about how to treat it.

Nothing from elsewhere is loaded, nothing inline is run, nobody frames the page, and what the
station says is not kept in caches. Sources: OWASP HTTP Headers Cheat Sheet; W3C CSP Level 3.
"""

from collections.abc import Mapping
from typing import Final

from aiohttp import hdrs, web

PAGE_POLICY: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
    " object-src 'none'"
)
DOCUMENT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""Of a document that stands alone, like a report: its own style, no script."""

_ALWAYS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "geolocation=(self), camera=(), microphone=(), usb=(), serial=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "stopover",
}


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add them to an answer about to be sent: a signal handler of aiohttp."""
    for name, value in _ALWAYS.items():
        response.headers[name] = value
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    if request.path.startswith("/api/") or request.path == "/metrics":
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
    if request.secure:
        # Over plain HTTP browsers ignore it, and complain.
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
