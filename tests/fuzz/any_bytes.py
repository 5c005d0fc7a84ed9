"""Coverage-guided fuzzing of every decoder and file reader: whatever the bytes, records come out.

    make fuzz                 a minute; FUZZ_SECONDS=3600 for longer

The first byte of an input chooses who reads the rest. A finding is written to a file `crash-…` that
`python tests/fuzz/any_bytes.py FILE` plays again.
"""

import sys

import atheris

with atheris.instrument_imports(include=["protocols"]):
    from protocols import registry
    from protocols.ctt.file_rows import CttFileReader
    from protocols.ctt.files import columns_of_header, columns_of_headerless
    from protocols.framing import CobsFramer, LineFramer
    from protocols.gpsd import fix_of
    from protocols.sensorgnome import SensorGnomeReader, parse_name

_HEADERS = (
    b"Time,RadioId,TagId,TagRSSI,NodeId,Validated",
    (
        b"Time,RadioId,NodeId,NodeRSSI,Battery,Celsius,RecordedAt,Firmware,SolarVolts,SolarCurrent,"
        b"CumulativeSolarCurrent,Latitude,Longitude"
    ),
    b"recorded at,gps at,latitude,longitude,altitude,quality,mean lat,mean lng,n fixes",
    b"time,id,rssi",
    b"time,tag_id,sync,family,payload_version,payload,rssi",
)


def _decoded(name: str, rest: bytes) -> None:
    if not registry.entry(name).make().decode(rest):
        raise AssertionError(f"{name} gave nothing for {rest!r}")


def _read_rows(header: bytes, rest: bytes) -> None:
    columns = columns_of_header(header)
    if columns is None:
        raise AssertionError(f"{header!r} is a header that we know")
    reader = CttFileReader(columns, "3796F5")
    for line in rest.split(b"\n"):
        reader.read(line)


def _read_names_and_frames(rest: bytes) -> None:
    reader = SensorGnomeReader()
    for line in rest.split(b"\n"):
        reader.read(line)
    parse_name(rest.decode("latin-1"))
    columns_of_header(rest)
    columns_of_headerless(rest, "beep_0.csv")
    fix_of(rest)
    for framer in (LineFramer(64), CobsFramer(64)):
        framer.feed(rest)
        framer.reset()


def test_one_input(data: bytes) -> None:
    """Read one input: raises where anything but records comes of it."""
    chosen, rest = data[0] if data else 0, data[1:]
    names = list(registry.entries())
    place = chosen % (len(names) + len(_HEADERS) + 1)
    if place < len(names):
        _decoded(names[place], rest)
    elif place < len(names) + len(_HEADERS):
        _read_rows(_HEADERS[place - len(names)], rest)
    else:
        _read_names_and_frames(rest)


if __name__ == "__main__":
    registry.entries()
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
