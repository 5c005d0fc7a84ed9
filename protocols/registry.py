"""The decoders there are, by name.

A decoder is a class with a layout drawn in its docstring, registered under the name that a
configuration gives to a link:

    @register("ctt", version="1", framing="lines", takes="serial lines of CTT radios")
    class CttDecoder:
        def decode(self, frame: bytes) -> tuple[Record, ...]: ...

Packages outside this one add theirs by the entry point group `stopover.decoders`; loading the
entry point registers them. `protocols/README.md` shows how to write one.
"""

import importlib
import importlib.metadata
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from protocols.declared_payloads import DeclaredPayload
from protocols.errors import UnknownDecoderError
from protocols.framing import Framing
from protocols.records import Record

ENTRY_POINT_GROUP = "stopover.decoders"
_BUILT_IN_MODULES = (
    "protocols.ctt.lines",
    "protocols.ctt.blu",
    "protocols.ctt.driver_socket",
    "protocols.lorawan",
    "protocols.rtl433",
    "protocols.sensorgnome_live",
    "protocols.station_link.decoder",
)


class Decoder(Protocol):
    """What every decoder promises.

    One whose source tells what it threw away has a number `lost_lines` besides, which only grows:
    its growth is counted with the link's rejects.
    """

    def decode(self, frame: bytes) -> tuple[Record, ...]:
        """Return the records in one frame (without its terminator).

        Never raises, whatever the bytes; never returns an empty tuple: a frame that holds nothing
        is one `Ignored`, a frame that cannot be read is one `Unknown`.
        """
        ...


class DecoderEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One registered decoder."""

    name: str
    version: str
    framing: Framing
    takes: str
    """One line for people: which device or program sends this."""
    make: Callable[[], Decoder]

    @property
    def identity(self) -> str:
        """Name and version as a stored row carries them: `ctt/1`."""
        return f"{self.name}/{self.version}"

    def made(self, declared: Sequence[DeclaredPayload] = ()) -> Decoder:
        """Return a new decoder, with those of the owner's payload layouts that are its own.

        Raises:
            ProtocolError: a layout that the decoder cannot have.
        """
        with_payloads = getattr(self.make, "with_payloads", None)
        decoder: Decoder = with_payloads(declared) if declared and with_payloads else self.make()
        return decoder


_entries: dict[str, DecoderEntry] = {}
_loaded = False

_DecoderClass = TypeVar("_DecoderClass", bound=Callable[[], Decoder])


def register(
    name: str, *, version: str, framing: Framing, takes: str
) -> Callable[[_DecoderClass], _DecoderClass]:
    """Register the decorated class under `name`; a second class of one name is a wrong use."""

    def add(make: _DecoderClass) -> _DecoderClass:
        if name in _entries and _entries[name].make is not make:
            raise UnknownDecoderError(f"two decoders are called {name!r}: rename one of them")
        _entries[name] = DecoderEntry(
            name=name, version=version, framing=framing, takes=takes, make=make
        )
        return make

    return add


def entries() -> dict[str, DecoderEntry]:
    """Return every decoder by name, built-in ones and those of installed packages."""
    global _loaded  # noqa: PLW0603  The registry is the one process-wide table here.
    if not _loaded:
        for module in _BUILT_IN_MODULES:
            importlib.import_module(module)
        for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
            point.load()
        _loaded = True
    return dict(sorted(_entries.items()))


def entry(name: str) -> DecoderEntry:
    """Return the decoder called `name`.

    Raises:
        UnknownDecoderError: nobody registered that name.
    """
    known = entries()
    if name not in known:
        raise UnknownDecoderError(
            f"there is no decoder {name!r}; there are: {', '.join(known) or 'none'}"
        )
    return known[name]
