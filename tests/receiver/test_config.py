"""The configuration: the example is good, and a wrong key is named with what would be right."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from receiver import config
from receiver.settings import SerialLink, labels

HERE = Path("/etc/stopover/station.toml")


def complaint(text: str) -> str:
    with pytest.raises(config.ConfigError) as caught:
        config.parse(text, HERE)
    return str(caught.value)


def test_the_example_is_a_configuration_that_passes_its_own_check() -> None:
    settings = config.parse(config.example("marsh-1"), HERE)
    assert settings.station.id == "marsh-1"
    assert settings.links == ()


def test_the_example_explains_every_setting() -> None:
    text = config.example()
    for key in ("id", "commit_interval", "device", "preset", "talk", "broker", "password_file"):
        assert f"{key} =" in text


def test_the_links_of_the_example_are_good_once_they_are_uncommented() -> None:
    lines = config.example().split("# Each radio is a link")[1].splitlines()[1:]
    uncommented = "\n".join(line.removeprefix("# ") for line in lines if line.startswith("# "))
    headings = ("Radios that", "Radios behind a", "Software", "Antennas, where", "Payloads of data")
    for heading in headings:
        uncommented = uncommented.replace(heading, f"# {heading}")
    assert len(tomllib.loads(uncommented)["links"]) == 4
    parsed = config.parse(uncommented, HERE)
    assert len(parsed.links) == 4
    assert [codec.protocol for codec in parsed.codecs] == ["ctt-434"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("staton_id = 3\n", ["staton_id", "did you mean `station.id`"]),
        ("[store]\ncommit_intervall = 3\n", [":2:", "store.commit_intervall", "commit_interval`"]),
        ("[store]\ncommit_interval = 0\n", [":2:", "store.commit_interval", "0.05 to 60"]),
        ('[station]\nid = "a b"\n', [":2:", "station.id", "letters, digits"]),
        ("[station]\nlatitude = 91\nlongitude = 0\n", ["station.latitude", "-90 to 90"]),
        ("[station]\nlatitude = 50\n", ["station.latitude", "both latitude and longitude"]),
        ("links = 3\n", ["links", "array"]),
        ('[[links]]\nname = "a"\n', ["links[0]", "kind"]),
        (
            '[[links]]\nkind = "seril"\nname = "a"\n',
            ["links[0].kind", "serial, socket, mqtt or software-radio"],
        ),
        (
            '[[links]]\nkind = "serial"\nname = "a"\ndevice = "x"\nbaud = 3\n',
            [":5:", "links[0].baud", "did you mean `baud_rate`"],
        ),
        (
            '[[links]]\nkind = "serial"\nname = "a"\ndevice = "x"\ndecoder = "cct"\n',
            ["links[0].decoder", "'cct'", "ctt"],
        ),
        (
            '[[links]]\nkind="mqtt"\nname="a"\nbroker="x"\ntopics=[{topic="a",decoder="ctt"}]\n',
            ["links[0].broker", "mqtt://HOST"],
        ),
        (
            '[[links]]\nkind="mqtt"\nname="a"\nbroker="mqtt://h"\ntopics=[{topic="a",decodr="c"}]\n',
            ["links[0].topics[0].decodr", "did you mean `decoder`"],
        ),
        (
            (
                '[[links]]\nkind="serial"\nname="a"\ndevice="x"\n'
                '[[links]]\nkind="serial"\nname="a"\ndevice="y"\n'
            ),
            [":7:", "links[1].name", "two links"],
        ),
        (
            (
                '[[links]]\nkind="serial"\nname="a"\ndevice="x"\n'
                '[[links]]\nkind="serial"\nname="b"\ndevice="x"\n'
            ),
            ["links[1].device", "one link"],
        ),
        (
            '[[links]]\nkind="socket"\nname="a"\npath="x"\ndecoder="rtl433"\n',
            ["links[0].decoder", "not a stream"],
        ),
        (
            '[[codecs]]\nprotocol="ctt-434"\nfields=[{name="a_v",type="u8"}]\n',
            ["codecs[0].format", "1 to 15"],
        ),
        (
            '[[codecs]]\nprotocol="lorawan"\ncodec="openkollar"\n',
            ["codecs[0].codec", "opencollar"],
        ),
        ('[[codecs]]\nprotocol="lorawan"\n', ["codecs[0].fields", "either fields, or codec"]),
        (
            '[[codecs]]\nprotocol="ctt-2g4"\nformat=1\nfields=[{name="a",type="u9"}]\n',
            ["codecs[0].fields", "'u9'"],
        ),
        (
            (
                '[[codecs]]\nprotocol="lorawan"\ncodec="opencollar"\n'
                '[[codecs]]\nprotocol="lorawan"\ncodec="opencollar"\n'
            ),
            [":5:", "codecs[1].protocol", "remove one"],
        ),
        ("x = [", ["not TOML"]),
        (f"x = {'[' * 5000}", ["not TOML"]),
    ],
)
def test_a_wrong_key_is_named_with_file_and_what_would_be_right(
    text: str, words: list[str]
) -> None:
    said = complaint(text)
    assert said.startswith(str(HERE))
    for word in words:
        assert word in said


def test_a_byte_order_mark_of_an_editor_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "stopover.toml"
    path.write_bytes(b"\xef\xbb\xbf" + b'[station]\r\nid = "marsh"\r\n')
    assert config.load(path).station.id == "marsh"


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="stopover init"):
        config.load(tmp_path / "none.toml")


def test_bytes_that_are_no_text_are_refused_with_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "picture.toml"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(config.ConfigError, match=r"picture\.toml"):
        config.load(path)


def test_relative_paths_are_taken_from_the_configurations_folder() -> None:
    settings = config.parse('[store]\npath = "data/store.db"\n', HERE)
    assert settings.store.path == "/etc/stopover/data/store.db"


def test_a_port_that_may_change_its_number_is_warned_of() -> None:
    text = '[[links]]\nkind = "serial"\nname = "a"\ndevice = "/dev/ttyUSB0"\n'
    settings = config.parse(text, HERE)
    assert isinstance(settings.links[0], SerialLink)
    assert ["by-path" in warning for warning in config.warnings(settings)] == [True]


def test_the_radios_of_a_link_with_several_have_labels_of_their_own() -> None:
    text = (
        '[[links]]\nkind = "serial"\nname = "open"\ndevice = "/dev/serial/by-path/x"\n'
        'decoder = "station-link"\nantenna = "north"\nantennas = { 1 = "south", 2 = "west" }\n'
    )
    (link,) = config.parse(text, HERE).links
    assert isinstance(link, SerialLink)
    assert labels(link) == ("north", "south", "west")
    only_numbered = msgspec.structs.replace(link, antenna=None)
    assert labels(only_numbered) == ("south", "west")
    with pytest.raises(config.ConfigError, match=r"antennas"):
        config.parse(text.replace('"south"', "7"), HERE)
