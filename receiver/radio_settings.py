"""Settings of software radios: a stick, or its samples in a file or pipe, as a link."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from protocols.rtl_tcp import DEFAULT_PORT, SAMPLE_RATES_HZ
from receiver.setting_types import AntennaLabel, LinkName

Hears: TypeAlias = Literal["ctt-434", "coded-id"]
SampleForm: TypeAlias = Literal["cu8", "cs16", "cf32"]
KeptPackets: TypeAlias = Literal["none", "weak", "unknown", "all"]

DECODERS: Final[dict[Hears, str]] = {"ctt-434": "radio-ctt", "coded-id": "radio-pulse"}
"""Names of what decodes samples, as rows carry them, with the version behind a slash."""
DECODER_VERSION: Final = "1"
USUAL_FREQUENCY_MHZ: Final = 434.0

_PULSE_RATE_HZ: Final = 48_000
"""For pulses, samples are thinned out as far as an integer goes, to no fewer a second than this."""
_WIDTHS_HZ: Final[dict[Hears, int]] = {"ctt-434": 20_000, "coded-id": 12_000}
_OFFSETS_HZ: Final[dict[Hears, int]] = {"ctt-434": 50_000, "coded-id": 25_000}
_CTT_DEVIATION_HZ: Final = 25_000
_CTT_FILTER_HZ: Final = 12_500
_USABLE_PART: Final = 0.48
"""Of the rate, either side of the middle: what lies beyond is cut off by a stick's own filter."""

_ADDRESS: Final = re.compile(r"rtl_tcp://(?:\[([^\]]+)\]|([^:/]+))(?::([0-9]+))?$")


class SoftwareRadioLink(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="software-radio"
):
    """A software radio: an RTL-SDR stick behind rtl_tcp, or samples in a pipe or file."""

    name: LinkName
    source: Annotated[
        str,
        Meta(
            pattern=r"^(rtl_tcp://(\[[0-9A-Fa-f:]+\]|[^\s:/\[\]]+)(:[0-9]{1,5})?|(file|pipe):.+)$",
            description="rtl_tcp://HOST[:PORT], pipe:PATH (a named pipe) or file:PATH (a "
            "recording, played once).",
        ),
    ]
    hears: Annotated[
        Hears, Meta(description="What is sent there: ctt-434 packets or coded-id pulses.")
    ] = "ctt-434"
    frequency_mhz: Annotated[
        Annotated[float, Meta(ge=1, le=6000)] | None,
        Meta(description="MHz of the tags; else 434, or as told by you where hears is coded-id."),
    ] = None
    antenna: AntennaLabel = None
    form: Annotated[
        SampleForm, Meta(description="What samples in a pipe or file are; a stick's are cu8.")
    ] = "cu8"
    rate_hz: Annotated[
        int,
        Meta(
            ge=160_000,
            le=3_200_000,
            description="Samples a second. 250000 costs least; a stick can also 900001 and more.",
        ),
    ] = 250_000
    gain: Annotated[
        Literal["auto"] | Annotated[float, Meta(ge=-20, le=100)],
        Meta(
            description="The stick's gain in dB; auto keeps the noise where eight bits serve best."
        ),
    ] = "auto"
    ppm: Annotated[
        int,
        Meta(ge=-200, le=200, description="How far the stick's crystal is off, as measured."),
    ] = 0
    bias_tee: Annotated[
        bool, Meta(description="Whether the stick feeds an amplifier through the antenna cable.")
    ] = False
    offset_hz: Annotated[
        Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] | None,
        Meta(
            description="How far below the tags the stick is tuned, so that the spike in its "
            "middle misses them; else 50000, or 25000 where hears is coded-id."
        ),
    ] = None
    width_hz: Annotated[
        Annotated[int, Meta(ge=0, le=100_000)] | None,
        Meta(
            description="How far tags may be off the frequency, either side; else 20000, or 12000 "
            "where hears is coded-id."
        ),
    ] = None
    full_scale_dbm: Annotated[
        Annotated[float, Meta(ge=-150, le=50)] | None,
        Meta(
            description="dBm at the antenna socket that fill the stick's scale at a gain of 0 dB, "
            "as measured; without it levels are told relative to full scale only."
        ),
    ] = None
    keep: Annotated[
        KeptPackets,
        Meta(
            description="Around which packets samples are kept as files: none, weak or doubtful "
            "ones, those of tags unknown here, all."
        ),
    ] = "none"
    keep_folder: Annotated[
        str, Meta(min_length=1, description="Where; beside this file unless absolute.")
    ] = "samples"
    keep_mb: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Megabytes of them at most; the oldest are removed."),
    ] = 500
    keep_seconds: Annotated[
        float, Meta(ge=0.05, le=5, description="Seconds of samples before and after a packet.")
    ] = 0.25
    silent_after: Annotated[
        float,
        Meta(
            ge=0,
            le=31_536_000,
            description="Seconds without anything heard after which it counts as silent; 0 is "
            "never.",
        ),
    ] = 0.0

    @property
    def decoder(self) -> str:
        """What decodes its samples, as rows name it."""
        return DECODERS[self.hears]

    @property
    def is_stick(self) -> bool:
        """Whether it is a stick that can be tuned."""
        return self.source.startswith("rtl_tcp:")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of a stick."""
        match = _ADDRESS.match(self.source)
        if match is None:
            raise ValueError(f"{self.source!r} is no rtl_tcp address")
        return match[1] or match[2], int(match[3] or DEFAULT_PORT)

    @property
    def file_path(self) -> str:
        """Path of a file or pipe."""
        return self.source.partition(":")[2]

    @property
    def sample_form(self) -> SampleForm:
        """What its samples are."""
        return "cu8" if self.is_stick else self.form

    @property
    def channel_hz(self) -> int:
        """The frequency that tags send on."""
        return round((self.frequency_mhz or USUAL_FREQUENCY_MHZ) * 1e6)

    @property
    def channel_offset_hz(self) -> int:
        """How far above the middle of the samples the tags' frequency is."""
        return _OFFSETS_HZ[self.hears] if self.offset_hz is None else self.offset_hz

    @property
    def tuned_hz(self) -> int:
        """What the stick is tuned to."""
        return self.channel_hz - self.channel_offset_hz

    @property
    def half_width_hz(self) -> int:
        """How far off the frequency tags are looked for."""
        return _WIDTHS_HZ[self.hears] if self.width_hz is None else self.width_hz

    @property
    def decimation(self) -> int:
        """How many samples become one before pulses are looked for."""
        most = self.rate_hz // _PULSE_RATE_HZ
        return next(count for count in range(most, 0, -1) if self.rate_hz % count == 0)


def anchored(link: SoftwareRadioLink, folder: Path) -> SoftwareRadioLink:
    """Return a link with its relative paths taken from `folder`."""
    source = link.source
    if not link.is_stick:
        source = f"{source.partition(':')[0]}:{folder / link.file_path}"
    return msgspec.structs.replace(link, source=source, keep_folder=str(folder / link.keep_folder))


def contradictions(link: SoftwareRadioLink) -> list[tuple[str, str]]:
    """Return (key, complaint) for what the types of the settings cannot say."""
    found = []
    if link.hears == "coded-id" and link.frequency_mhz is None:
        found.append(
            ("frequency_mhz", "say which frequency the coded-ID tags have: frequency_mhz = 166.38")
        )
    if link.is_stick:
        if not 1 <= link.address[1] <= 65_535:  # noqa: PLR2004  Ports.
            found.append(("source", f"there is no port {link.address[1]}"))
        if not any(low <= link.rate_hz <= high for low, high in SAMPLE_RATES_HZ):
            told = " or ".join(f"{low} to {high}" for low, high in SAMPLE_RATES_HZ)
            found.append(("rate_hz", f"a stick cannot sample at {link.rate_hz}; it can at {told}"))
    if link.hears == "coded-id" and link.rate_hz // link.decimation > 2 * _PULSE_RATE_HZ:
        found.append(
            ("rate_hz", f"{link.rate_hz} divides badly: take 250000, 1000000, 2000000 or 2400000")
        )
    beside_hz = _CTT_DEVIATION_HZ + _CTT_FILTER_HZ if link.hears == "ctt-434" else 0
    farthest_hz = abs(link.channel_offset_hz) + link.half_width_hz + beside_hz
    if farthest_hz > _USABLE_PART * link.rate_hz:
        room_hz = round(_USABLE_PART * link.rate_hz) - beside_hz
        room = f"offset_hz and width_hz may be {room_hz} together, or " if room_hz > 0 else ""
        said = (
            f"tags up to {farthest_hz} Hz from the middle do not fit into {link.rate_hz} samples a"
            f" second: {room}take a higher rate"
        )
        found.append(("rate_hz" if link.offset_hz is None else "offset_hz", said))
    return found
