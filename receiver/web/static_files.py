"""The page's own files: found by their names in one folder, compressed once, kept by browsers.

The page names its files by `static/NAME`; they are served with a version made of their content, so
that a browser keeps them for ever and yet never an old one.
"""

import asyncio
import gzip
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import hdrs, web

from receiver.web.answers import COMPRESSED_FROM_BYTES, Refused

_FOLDER: Final = Path(__file__).with_name("static")
_PAGE: Final = "index.html"
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/vnd.microsoft.icon",
    ".webmanifest": "application/manifest+json",
    ".json": "application/json",
    ".txt": "text/plain",
    ".woff2": "font/woff2",
}
_BINARY: Final = frozenset((".png", ".ico", ".woff2"))
_NAMED: Final = re.compile(rb'((?:href|src)="/?static/([A-Za-z0-9._-]+))"')
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_FIRST: Final = "no-cache"


class _File(msgspec.Struct, frozen=True):
    content: bytes
    packed: bytes | None
    version: str
    content_type: str


class StaticFiles:
    """Serves the files of one folder; a name that is not in it is no file, whatever it looks like.

    Files that change, as an upgrade does it, are read again, all of them: the page names others by
    their versions.
    """

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._folder = folder
        self._listed: dict[str, int] = {}
        self._files: dict[str, _File] = {}

    async def page(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /."""
        return await self._answer(request, _PAGE)

    async def file(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /static/NAME."""
        return await self._answer(request, request.match_info["name"])

    async def _answer(self, request: web.Request, name: str) -> web.StreamResponse:
        listed = _listed(self._folder)
        if listed != self._listed:
            files = await asyncio.to_thread(_read, self._folder, listed)
            self._listed, self._files = listed, files
        file = self._files.get(name)
        if file is None:
            raise Refused(
                404,
                f"there is no file {name!r} of the page" if name != _PAGE else "there is no page",
                "install stopover again" if name == _PAGE else "load the page again",
            )
        for_ever = request.query.get("v") == file.version
        headers = {
            hdrs.ETAG: f'"{file.version}"',
            hdrs.CACHE_CONTROL: _FOR_EVER if for_ever else _ASK_FIRST,
            hdrs.VARY: hdrs.ACCEPT_ENCODING,
        }
        if any(tag.value == file.version for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        body = file.content
        if file.packed is not None and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            body = file.packed
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        headers[hdrs.CONTENT_TYPE] = file.content_type
        return web.Response(body=body, headers=headers)


def _listed(folder: Path) -> dict[str, int]:
    """Return the files there are, and when each was last changed."""
    try:
        with os.scandir(folder) as entries:
            return {
                entry.name: entry.stat().st_mtime_ns
                for entry in entries
                if Path(entry.name).suffix in _TYPES and entry.is_file()
            }
    except OSError:
        return {}


def _read(folder: Path, names: Iterable[str]) -> dict[str, _File]:
    """Return the files of those names, the page with the versions of the others in it."""
    contents = {name: (folder / name).read_bytes() for name in names}
    files = {name: _made(content, Path(name).suffix) for name, content in contents.items()}

    def versioned(found: re.Match[bytes]) -> bytes:
        file = files.get(found[2].decode())
        return found[0] if file is None else b'%b?v=%b"' % (found[1], file.version.encode())

    if _PAGE in contents:
        files[_PAGE] = _made(_NAMED.sub(versioned, contents[_PAGE]), ".html")
    return files


def _made(content: bytes, suffix: str) -> _File:
    is_text = suffix not in _BINARY
    packed = gzip.compress(content, mtime=0) if len(content) >= COMPRESSED_FROM_BYTES else None
    return _File(
        content,
        packed if is_text else None,
        hashlib.sha256(content).hexdigest()[:16],
        _TYPES[suffix] + ("; charset=utf-8" if is_text else ""),
    )
