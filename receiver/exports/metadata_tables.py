"""The one table of what a station cannot hear: who runs it, where it stands, which bird wears what.

Each field carries its type, bounds, default and one sentence of help; `metadata` makes the example
file and the checks from these structs. Every field has a default: what a format cannot do without
is asked for by that format, by name.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from receiver.setting_types import Label
from receiver.settings import Latitude, Longitude

Text: TypeAlias = Annotated[str, Meta(max_length=2000)]
Moment: TypeAlias = Annotated[
    str,
    Meta(pattern=r"^(\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?)?$"),
]
Metres: TypeAlias = Annotated[float, Meta(ge=1, le=500_000)]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=9999)]
Bearing: TypeAlias = Annotated[float, Meta(ge=0, le=360)]
Elevation: TypeAlias = Annotated[float, Meta(ge=-500, le=9000)]
Megahertz: TypeAlias = Annotated[float, Meta(ge=1, le=100_000)]
Decimals: TypeAlias = Annotated[int, Meta(ge=0, le=4)]


class Project(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the data are, and on which terms they are given away."""

    title: Annotated[Text, Meta(description="Title of the data set.")] = ""
    description: Annotated[Text, Meta(description="What was done, where and why, for readers.")] = (
        ""
    )
    id: Annotated[Text, Meta(description="A name that stays: a DOI, a URL, or a word.")] = ""
    licence: Annotated[
        Literal["", "CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0"],
        Meta(description="GBIF takes these three."),
    ] = ""
    publisher: Annotated[Text, Meta(description="The organisation that publishes.")] = ""
    rights_holder: Annotated[Text, Meta(description="Who owns the data; else the publisher.")] = ""
    institution_code: Annotated[Text, Meta(description="The organisation's acronym.")] = ""
    movebank_study: Annotated[Text, Meta(description="Name of the study at Movebank.")] = ""


class Contact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom readers write to."""

    given_name: Annotated[Text, Meta(description="Given name.")] = ""
    family_name: Annotated[Text, Meta(description="Family name.")] = ""
    email: Annotated[
        str, Meta(pattern=r"^([^@\s]+@[^@\s]+)?$", description="Address for electronic mail.")
    ] = ""


class Motus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How Motus knows this receiver."""

    serial: Annotated[
        str,
        Meta(
            pattern=r"^((SG-)?[0-9A-Z]{4}(RP[A-Z0-9]{2}|BBBK|BB[0-9][0-9A-Z])[0-9A-Z]{4}(_[0-9])?"
            r"|CTT-V?[0-9A-F]+|SEI_[A-Z]_[A-Z0-9]{9})?$",
            description="The serial registered at Motus: SG-1234RPI45678, CTT-V30300000001.",
        ),
    ] = ""
    label: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_.]{1,32}$",
            description="First word of file names: letters, digits, '_', '.'.",
        ),
    ] = "stopover"
    first_boot: Annotated[
        int,
        Meta(
            ge=1,
            le=999_999,
            description="Boot count of the store's first boot. After a new store was begun, one "
            "more than the last that was sent: Motus takes boots for one line.",
        ),
    ] = 1


class Ctt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How CTT's programs know this receiver."""

    station_id: Annotated[
        str,
        Meta(
            pattern=r"^(V?[0-9A-F]{6,16})?$",
            description="15 digits, or 12 hex digits, or V3 and ten: V30300000001.",
        ),
    ] = ""


class Euring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What your ringing scheme asks for."""

    condition: Annotated[
        Literal["7", "9"],
        Meta(
            description="Condition of a bird that was heard: 7 alive, certainly released; 9 alive, "
            "its fate not known. Ask your scheme."
        ),
    ] = "9"


class Antenna(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One antenna of a station."""

    label: Annotated[
        Label, Meta(description="As in the rows: the antenna's label, else the link's name.")
    ]
    port: Annotated[
        Port | None,
        Meta(description="Number in Motus and CTT files; numeric labels need none."),
    ] = None
    kind: Annotated[Text, Meta(description="Yagi, omni…")] = ""
    bearing_deg: Annotated[
        Bearing | None, Meta(description="Where it points, from true north.")
    ] = None
    height_m: Annotated[Elevation | None, Meta(description="Metres above the ground.")] = None
    range_m: Annotated[
        Metres | None, Meta(description="How far it hears, in metres; else the station's.")
    ] = None


class RelaySite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a node stands that reports no position of its own, or a better one."""

    id: Annotated[Label, Meta(description="The node's id: 3796F5.")]
    latitude: Annotated[Latitude, Meta(description="Degrees north, WGS 84.")]
    longitude: Annotated[Longitude, Meta(description="Degrees east, WGS 84.")]


class Station(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One station."""

    id: Annotated[Label, Meta(description="As in the rows and in the configuration.")]
    name: Annotated[Text, Meta(description="What people call the place.")] = ""
    latitude: Annotated[
        Latitude | None,
        Meta(description="Degrees north, WGS 84, -90 to 90; else where the store says it was."),
    ] = None
    longitude: Annotated[
        Longitude | None, Meta(description="Degrees east, WGS 84, -180 to 180.")
    ] = None
    elevation_m: Annotated[Elevation | None, Meta(description="Metres above the sea.")] = None
    country_code: Annotated[
        str, Meta(pattern=r"^([A-Z]{2})?$", description="ISO 3166: two capital letters.")
    ] = ""
    euring_place_code: Annotated[
        str,
        Meta(pattern=r"^([A-Z0-9-]{4})?$", description="EURING's code of the region: NL--."),
    ] = ""
    range_m: Annotated[
        Metres, Meta(description="How far from a receiver a bird may be, in metres.")
    ] = 5000.0
    relay_range_m: Annotated[
        Metres, Meta(description="How far from a node a bird may be, in metres.")
    ] = 500.0
    antennas: Annotated[tuple[Antenna, ...], Meta(description="Its antennas.")] = ()
    relays: Annotated[tuple[RelaySite, ...], Meta(description="Its nodes.")] = ()


class Tag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tag on one animal. A tag that is used again is a second entry."""

    id: Annotated[Label, Meta(description="As in the rows: 78664C33, TestTags#1.1.")]
    animal: Annotated[Label, Meta(description="Your name for the animal: RUFF-042.")]
    taxon: Annotated[Text, Meta(description="Scientific name: Calidris pugnax.")] = ""
    taxon_id: Annotated[
        Text, Meta(description="URN of the name: urn:lsid:marinespecies.org:taxname:…")
    ] = ""
    kingdom: Annotated[Text, Meta(description="Kingdom of the taxon.")] = "Animalia"
    sex: Annotated[Literal["", "male", "female"], Meta(description="Where it is known.")] = ""
    life_stage: Annotated[Text, Meta(description="When it was tagged: adult, juvenile…")] = ""
    deployed_from: Annotated[
        Moment, Meta(description='When the tag was attached, in quotes, UTC: "2026-04-28T09:15Z".')
    ] = ""
    deployed_until: Annotated[
        Moment,
        Meta(description="When it fell off or the animal died, in quotes; empty while it lasts."),
    ] = ""
    deployed_latitude: Annotated[Latitude | None, Meta(description="Where it was attached.")] = None
    deployed_longitude: Annotated[Longitude | None, Meta(description="Where it was attached.")] = (
        None
    )
    manufacturer: Annotated[Text, Meta(description="Who made the tag.")] = ""
    model: Annotated[Text, Meta(description="The tag's model.")] = ""
    frequency_mhz: Annotated[Megahertz | None, Meta(description="Where it sends: 434.0.")] = None
    ring_scheme: Annotated[
        str, Meta(pattern=r"^([A-Z]{3})?$", description="EURING's code of the ring's scheme: NLA.")
    ] = ""
    ring_number: Annotated[
        str,
        Meta(
            pattern=r"^([A-Za-z0-9 .-]{1,16})?$", description="As it stands on the ring: AB123456."
        ),
    ] = ""
    euring_species: Annotated[
        str, Meta(pattern=r"^([0-9]{5})?$", description="EURING's species code: 05170.")
    ] = ""
    coordinate_decimals: Annotated[
        Decimals | None,
        Meta(
            description="For a sensitive species: decimals of a degree that are published (1 is "
            "11 km). The receiver's name is withheld then.",
        ),
    ] = None


class Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that an owner tells."""

    project: Project = Project()
    contact: Contact = Contact()
    motus: Motus = Motus()
    ctt: Ctt = Ctt()
    euring: Euring = Euring()
    tags_file: Annotated[
        str,
        Meta(description="A CSV file of tags, its columns named as the keys of [[tags]]."),
    ] = ""
    stations: tuple[Station, ...] = ()
    tags: tuple[Tag, ...] = ()
