"""What is known of a file of I/Q samples before they are read: form, rate, frequency, beginning.

Told by, the first that says it: what the caller says; a `.sigmf-meta` beside the file; its name, as
rtl_433 (`g001_434M_250k.cu8`), gqrx (`gqrx_20260512_043000_434000000_250000_fc.raw`) and this
station (`stick_20260528T202640.400Z_433.95M_250k.cu8`) give it.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from receiver import radio_settings
from receiver.importing.ledger import as_recorded
from receiver.radio_settings import DECODERS, Hears, SampleForm, SoftwareRadioLink
from receiver.radio_worker.kept_samples import DATATYPES, META_SUFFIX

SUFFIXES: Final[dict[str, SampleForm]] = {".cu8": "cu8", ".cs16": "cs16", ".cf32": "cf32"}
_SIGMF: Final = ".sigmf-data"
_NOT_READ: Final = (".cs8", ".cs12", ".cs32", ".cf64", ".wav")
"""Forms that others record samples in."""

_FORMS: Final = {datatype: form for form, datatype in DATATYPES.items()}
_CTT_HZ: Final = 434_000_000
_NS_PER_S: Final = 1_000_000_000
_MOST_HZ: Final = 1e11
_MOST_META_BYTES: Final = 16 * 1024 * 1024
_WIDTHS_HZ: Final = (20_000, 10_000, 5_000, 2_500)
"""How far off their frequency tags are looked for, the widest that the samples hold. rtl_433 takes
433.92 MHz at 250,000 a second unless told: 434 MHz is there, 20 kHz beside it is not."""
_LATEST_NS: Final = 2**62
"""The year 2116, as in recordings of links: what follows it in a file still fits a row."""
_MOST_SAMPLES_PER_S: Final = 100_000_000
"""More is a slip of the hand, and would not fit into memory."""
_GQRX: Final = re.compile(r"gqrx_(\d{8})_(\d{6})_(\d+)_(\d+)(?:_fc)?\.raw$")
_MHZ: Final = re.compile(r"(?:^|_)(\d{1,4}(?:\.\d{1,6})?)M(?:Hz)?(?=[_.]|$)")
_KSPS: Final = re.compile(r"(?:^|_)(\d{1,4}(?:\.\d{1,3})?)k(?:Hz|sps)?(?=[_.]|$)")
_MOMENT: Final = re.compile(r"(?:^|_)(\d{8}T\d{6})(?:\.(\d{1,9}))?Z(?=[_.]|$)")


class SampleFileError(Exception):
    """Too little is known of a file to read it; the message says what to tell."""


class ForeignFormError(SampleFileError):
    """Samples in a form that is not read."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody, or something, says of a file; None where it does not."""

    form: SampleForm | None = None
    rate_hz: int | None = None
    frequency_hz: int | None = None
    """Of the samples' middle."""
    channel_hz: int | None = None
    """That tags send on."""
    hears: Hears | None = None
    start_ns: int | None = None
    is_synchronised: bool | None = None
    link: str | None = None
    antenna: str | None = None
    known_tags: tuple[str, ...] | None = None


class SampleFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is."""

    link: SoftwareRadioLink
    """A link that would hear the same."""
    start_ns: int
    is_synchronised: bool
    known_tags: frozenset[str]
    """Ids on the list of the station that recorded it."""
    note: str
    """What was taken for granted, for people."""


def is_sample_file(path: Path) -> bool:
    """Tell by the name whether a file holds samples."""
    known = (*SUFFIXES, _SIGMF, *_NOT_READ)
    return path.suffix.lower() in known or _GQRX.match(path.name) is not None


def sample_file(path: Path, told: Told) -> SampleFile:
    """Return what a file is, from what was told, its description and its name.

    Raises:
        ForeignFormError: its form is not read.
        SampleFileError: rate, frequency or what to listen for are not known, or do not fit.
        OSError: it cannot be looked at.
    """
    # Loaded here: who only asks for names needs no numpy.
    from protocols.radio.channel import MIN_RATE_HZ  # noqa: PLC0415
    from protocols.radio.samples import BYTES_PER_SAMPLE  # noqa: PLC0415

    sources = (told, _described(path), _named(path))
    form: SampleForm | None = _first(sources, "form")
    if form is None or path.suffix.lower() in _NOT_READ:
        raise ForeignFormError(
            "its samples are of a form that is not read, or nothing tells which: convert them to"
            " .cu8, .cs16 or .cf32"
        )
    rate_hz = _first(sources, "rate_hz")
    if rate_hz is None:
        raise SampleFileError("at how many samples a second was it made? --rate-hz 250000")
    if rate_hz > _MOST_SAMPLES_PER_S:
        raise SampleFileError(f"{rate_hz} samples a second are more than is recorded: --rate-hz")
    frequency_hz = _first(sources, "frequency_hz")
    hears, channel_hz = _listened_for(sources, rate_hz, frequency_hz)
    link = SoftwareRadioLink(
        name=_first(sources, "link") or as_recorded(path).stem,
        source=f"file:{path}",
        hears=hears,
        frequency_mhz=channel_hz / 1e6,
        antenna=_first(sources, "antenna"),
        form=form,
        rate_hz=rate_hz,
        offset_hz=channel_hz - (frequency_hz or channel_hz),
        width_hz=_WIDTHS_HZ[0],
    )
    widths_hz = _WIDTHS_HZ if rate_hz >= MIN_RATE_HZ else _WIDTHS_HZ[:1]
    fitting = (msgspec.structs.replace(link, width_hz=width_hz) for width_hz in widths_hz)
    link = next((each for each in fitting if not radio_settings.contradictions(each)), link)
    for key, said in radio_settings.contradictions(link):
        if key != "offset_hz":
            raise SampleFileError(said)
        raise SampleFileError(
            f"tags at {channel_hz / 1e6:.6g} MHz do not fit into {rate_hz} samples a second around"
            f" {link.tuned_hz / 1e6:.6g} MHz: correct it with --rate-hz, --frequency-mhz or"
            " --channel-mhz, or record nearer to the middle, or at a higher rate"
        )
    start_ns = _first(sources, "start_ns")
    is_synchronised = _first(sources, "is_synchronised")
    begun = "began as told"
    if start_ns is None:
        status = path.stat()
        samples = status.st_size // BYTES_PER_SAMPLE[form]
        start_ns = status.st_mtime_ns - samples * _NS_PER_S // rate_hz
        is_synchronised = False
        begun = "taken to have ended when the file was last written: say --start if you know better"
    note = (
        f"{form}, {rate_hz} samples a second around {link.tuned_hz / 1e6:.6g} MHz, {begun};"
        f" listened for {hears} at {channel_hz / 1e6:.6g} MHz"
    )
    if link.half_width_hz < _WIDTHS_HZ[0]:
        note += f", only {link.half_width_hz} Hz to either side: further off the samples end"
    return SampleFile(
        link=link,
        start_ns=start_ns,
        is_synchronised=is_synchronised is not False,
        known_tags=frozenset(_first(sources, "known_tags") or ()),
        note=note,
    )


def moment_ns(text: str) -> int:
    """Return an ISO 8601 moment, UTC where it names no zone, as nanoseconds since 1970.

    Raises:
        ValueError: it is none, or one that no row can hold.
    """
    whole, point, rest = text.strip().partition(".")
    match = re.match(r"(\d*)(.*)", rest)
    digits, zone = (match[1], match[2]) if point and match else ("", "")
    moment = datetime.fromisoformat(whole + zone)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    ns = int(moment.timestamp()) * _NS_PER_S + int(digits[:9].ljust(9, "0"))
    if abs(ns) >= _LATEST_NS:
        raise ValueError("further off than a row can tell")
    return ns


def _first(sources: tuple[Told, ...], key: str) -> Any:  # noqa: ANN401  As the field's type.
    return next(
        (getattr(source, key) for source in sources if getattr(source, key) is not None), None
    )


def _listened_for(
    sources: tuple[Told, ...], rate_hz: int, frequency_hz: int | None
) -> tuple[Hears, int]:
    """Return what is to be heard, and where."""
    hears: Hears | None = _first(sources, "hears")
    channel_hz: int | None = _first(sources, "channel_hz")
    has_ctt = frequency_hz is None or abs(_CTT_HZ - frequency_hz) < rate_hz / 2
    if hears is None:
        if not has_ctt and channel_hz is None:
            raise SampleFileError(
                f"{(frequency_hz or 0) / 1e6:.6g} MHz: what is sent there? --hears coded-id, or"
                " --hears ctt-434 with --channel-mhz"
            )
        hears = "ctt-434" if has_ctt else "coded-id"
    if channel_hz is None:
        if hears == "coded-id" and frequency_hz is None:
            raise SampleFileError("which frequency is in its middle? --frequency-mhz 166.38")
        channel_hz = _CTT_HZ if hears == "ctt-434" and has_ctt else frequency_hz or _CTT_HZ
    return hears, channel_hz


def _described(path: Path) -> Told:
    """Return what the description beside a file says; nothing where there is none to be read."""
    try:
        with path.with_suffix(META_SUFFIX).open("rb") as file:
            tree = msgspec.json.decode(file.read(_MOST_META_BYTES))
    except (OSError, msgspec.MsgspecError, RecursionError):
        return Told()
    about = tree.get("global") if isinstance(tree, dict) else None
    captures = tree.get("captures") if isinstance(tree, dict) else None
    about = about if isinstance(about, dict) else {}
    capture = captures[0] if isinstance(captures, list) and captures else {}
    capture = capture if isinstance(capture, dict) else {}
    return Told(
        form=_FORMS.get(str(about.get("core:datatype"))),
        rate_hz=_whole(about.get("core:sample_rate")),
        frequency_hz=_whole(capture.get("core:frequency")),
        channel_hz=_whole(about.get("stopover:channel_hz")),
        hears=next((each for each in DECODERS if each == about.get("stopover:hears")), None),
        start_ns=_moment(capture.get("core:datetime")),
        link=_text(about.get("stopover:link")),
        antenna=_text(about.get("stopover:antenna")),
        known_tags=_texts(about.get("stopover:known_tags")),
    )


def _named(path: Path) -> Told:
    """Return what a file's name says."""
    gqrx = _GQRX.match(path.name)
    if gqrx is not None:
        date, clock, frequency, rate = gqrx.groups()
        return Told(
            form="cf32",
            rate_hz=int(rate),
            frequency_hz=int(frequency),
            start_ns=_moment(f"{date}T{clock}"),
        )
    mhz, ksps, moment = (found.search(path.stem) for found in (_MHZ, _KSPS, _MOMENT))
    begun = f"{moment[1]}.{moment[2] or '0'}Z" if moment else None
    return Told(
        form=SUFFIXES.get(path.suffix.lower()),
        rate_hz=round(float(ksps[1]) * 1e3) if ksps else None,
        frequency_hz=round(float(mhz[1]) * 1e6) if mhz else None,
        start_ns=_moment(begun),
    )


def _whole(value: object) -> int | None:
    if not isinstance(value, int | float) or not 0 < value < _MOST_HZ:
        return None
    return round(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: object) -> tuple[str, ...] | None:
    return tuple(filter(None, map(_text, value))) if isinstance(value, list) else None


def _moment(value: object) -> int | None:
    try:
        return moment_ns(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
