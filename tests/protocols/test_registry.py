"""Decoders register under a name and are found by it."""

import pytest

from protocols import registry
from protocols.errors import UnknownDecoderError
from protocols.records import Ignored, Record
from protocols.registry import entries, entry, register


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    entries()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))


class Deaf:
    """A decoder that ignores everything."""

    def decode(self, frame: bytes) -> tuple[Record, ...]:
        """Ignore the frame."""
        del frame
        return (Ignored(reason="deaf"),)


class AlsoDeaf(Deaf):
    """Another one."""


def test_a_built_in_decoder_is_found_by_its_name() -> None:
    found = entry("ctt")
    assert found.identity == f"ctt/{found.version}"
    assert found.framing == "lines"
    assert found.make().decode(b"78664C33") != ()


def test_a_registered_class_is_found_and_makes_decoders() -> None:
    register("deaf", version="3", framing="message", takes="nothing")(Deaf)
    assert entry("deaf").identity == "deaf/3"
    assert entry("deaf").make().decode(b"") == (Ignored(reason="deaf"),)
    assert list(entries()) == sorted(entries())


def test_registering_one_class_twice_is_harmless() -> None:
    register("deaf", version="3", framing="message", takes="nothing")(Deaf)
    register("deaf", version="4", framing="message", takes="nothing")(Deaf)
    assert entry("deaf").version == "4"


def test_a_second_class_of_one_name_is_refused() -> None:
    register("deaf", version="3", framing="message", takes="nothing")(Deaf)
    with pytest.raises(UnknownDecoderError, match="rename"):
        register("deaf", version="3", framing="message", takes="nothing")(AlsoDeaf)


def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(UnknownDecoderError, match=r"'cct'.*ctt"):
        entry("cct")


def test_every_decoder_says_what_it_takes() -> None:
    for name, found in entries().items():
        assert found.name == name
        assert found.takes
        assert "\n" not in found.takes
