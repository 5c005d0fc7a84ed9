"""Spectrum: what applies at a place, who listens where, and how full the bands were."""

import csv
import datetime as dt
import io
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from protocols.records import Detection, GpsFix, Pulse, StationHealth
from receiver import config
from receiver.arrivals import ActivityRow, Arrival, ClockSample, Source, Stamp
from receiver.cli.main import main
from receiver.spectrum.allocations import Allocation, shipped
from receiver.spectrum.occupancy import OCCUPANCY_KEYS, hourly_occupancy
from receiver.spectrum.plot import occupancy_svg
from receiver.spectrum.tuning import Tuning, band_text, fitting, tunings
from receiver.store.database import Store

NOON_S = int(dt.datetime(2026, 5, 12, 12, tzinfo=dt.UTC).timestamp())
ZURICH = (47.37, 8.54)
BOSTON = (42.36, -71.06)
NAIROBI = (-1.29, 36.82)

STATION = """
[station]
id = "marsh"
latitude = {latitude}
longitude = {longitude}
[store]
path = "marsh.db"
[[links]]
kind = "serial"
name = "ch1"
device = "/dev/serial/by-path/a"
antenna = "north"
preset = "fsktag"
[[links]]
kind = "serial"
name = "ch2"
device = "/dev/serial/by-path/b"
preset = "node3"
[[links]]
kind = "socket"
name = "vhf"
path = "vhf.sock"
decoder = "sensorgnome"
frequency_mhz = {vhf_mhz}
"""


def stopover(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], prog_name="stopover")


def write_config(
    folder: Path, place: tuple[float, float] = ZURICH, *, vhf_mhz: float = 150.1
) -> Path:
    path = folder / "stopover.toml"
    text = STATION.format(latitude=place[0], longitude=place[1], vhf_mhz=vhf_mhz)
    path.write_text(text, encoding="utf-8")
    return path


def ids_at(place: tuple[float, float]) -> set[str]:
    known = shipped()
    return {row.id for row in known.applying(known.regions_at(*place))}


def hour_of(link: str, antenna: str, hour: int, *, detections: int, pulses: int) -> ActivityRow:
    return ActivityRow(
        hour_utc_s=NOON_S + 3600 * hour,
        session="life",
        link=link,
        antenna=antenna,
        listening_s=3600,
        frames=detections + pulses + 1,
        detections=detections,
        pulses=pulses,
        noise_dbm=-108.0 if link == "ch1" else None,
        rejects={},
    )


@pytest.fixture
def station(tmp_path: Path) -> Path:
    """Return the configuration of a station that has listened for two hours."""
    tag = Detection(
        protocol="ctt-434", tag_id="78664C33", integrity="verified", noise_dbm=-101.0, raw=b""
    )
    pulse = Pulse(antenna="3", frequency_offset_hz=4000, signal_db=-40, noise_db=-61.0)
    with Store.open(tmp_path / "marsh.db", station_id="marsh") as store:
        stamp = Stamp(NOON_S * 10**9 + 5, "ntp", 5, "boot")
        store.append(
            [
                Arrival(tag, Source(link="ch1", decoder="ctt/1", antenna="north"), stamp),
                Arrival(pulse, Source(link="vhf", decoder="sensorgnome/1", antenna="3"), stamp),
            ]
        )
        with store.transaction():
            store.add_clock_sample(ClockSample("boot", 0, NOON_S * 10**9, "ntp", "start"))
            for hour in (0, 1):
                store.put_activity(hour_of("ch1", "north", hour, detections=7 - hour, pulses=0))
                store.put_activity(hour_of("vhf", "3", hour, detections=0, pulses=40))
                store.put_activity(hour_of("vhf", "4", hour, detections=0, pulses=2))
            store.put_activity(hour_of("old", "", 0, detections=1, pulses=0))
    return write_config(tmp_path)


def test_every_row_that_ships_can_be_read_and_names_regions_that_exist() -> None:
    known = shipped()
    codes = {region.code for region in known.regions}
    assert len(codes) == len(known.regions)
    assert len({row.id for row in known.allocations}) == len(known.allocations)
    assert "no legal advice" in known.advice
    for region in known.regions:
        assert set(region.within) <= codes
        for south, west, north, east in region.boxes:
            assert -90 <= south < north <= 90, region.code
            assert -180 <= west < east <= 180, region.code
    for row in known.allocations:
        assert set(row.regions) <= codes, row.id
        assert (row.checked_on is None) == (row.confidence == "memory"), row.id
        assert (row.low_hz is None) == (row.high_hz is None) == (row.about is not None), row.id
        if row.low_hz is not None and row.high_hz is not None:
            assert 1_000_000 < row.low_hz <= row.high_hz < 6_000_000_000, row.id
            assert all(row.low_hz <= hz <= row.high_hz for hz in row.channels_hz), row.id
            assert row.low_hz < row.high_hz or row.channels_hz, row.id


def test_a_place_has_the_rows_of_its_country_of_the_group_around_it_and_of_the_world() -> None:
    swiss = ids_at(ZURICH)
    assert {"ch-wildlife-148", "eu-433", "motus-europe", "ctt-434"} <= swiss
    assert not {"us-915", "motus-americas", "uk-wildlife-173"} & swiss
    american = ids_at(BOSTON)
    assert {"us-wildlife-216", "motus-americas", "ctt-434"} <= american
    assert not {"eu-433", "ch-wildlife-148"} & american


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("AU", (-33.9, 151.2)),
        ("BR", (-23.6, -46.6)),
        ("CA", (49.3, -123.1)),
        ("CEPT", (64.1, -21.9)),
        ("CEPT", (37.0, -7.9)),
        ("CN", (39.9, 116.4)),
        ("GB", (53.2, -0.5)),
        ("IN", (28.6, 77.2)),
        ("JP", (43.1, 141.4)),
        ("JP", (26.2, 127.7)),
        ("KR", (37.6, 127.0)),
        ("KZ", (51.2, 71.4)),
        ("MY", (3.1, 101.7)),
        ("NO", (69.6, 18.9)),
        ("NP", (27.7, 85.3)),
        ("NZ", (-36.8, 174.8)),
        ("PH", (14.6, 121.0)),
        ("RU", (55.8, 37.6)),
        ("SE", (59.3, 18.1)),
        ("SG", (1.35, 103.8)),
        ("TH", (13.8, 100.5)),
        ("TW", (25.0, 121.6)),
        ("UA", (50.5, 30.5)),
        ("US", (61.2, -149.9)),
        ("US", (21.3, -157.9)),
    ],
)
def test_a_town_is_in_its_region(code: str, place: tuple[float, float]) -> None:
    assert code in {region.code for region in shipped().regions_at(*place)}


def test_a_place_of_no_listed_country_has_the_rows_of_the_world_only() -> None:
    known = shipped()
    assert [region.code for region in known.regions_at(*NAIROBI)] == ["WORLD"]
    assert {row.regions for row in known.applying(known.regions_at(*NAIROBI))} == {("WORLD",)}


def row_called(name: str) -> Allocation:
    return next(row for row in shipped().allocations if row.id == name)


@pytest.mark.parametrize(
    ("name", "low_hz", "high_hz", "fits"),
    [
        ("eu-433", 433_250_000, 433_250_000, True),
        ("eu-433", 433_050_000, 434_790_000, True),
        ("eu-433", 434_700_000, 434_800_000, False),
        ("ch-wildlife-148", 148_200_000, 148_200_000, True),
        ("ch-wildlife-148", 148_250_000, 148_250_000, False),
        ("motus-americas", 166_376_000, 166_376_000, True),
        ("motus-americas", 166_386_000, 166_386_000, False),
        ("us-federal-164", 165_000_000, 165_000_000, False),
        ("nz-doc-160", 160_000_000, 160_000_000, False),
    ],
)
def test_a_frequency_fits_limits_or_channels_and_never_what_is_not_for_wildlife_or_without_limits(
    name: str, low_hz: int, high_hz: int, *, fits: bool
) -> None:
    assert row_called(name).fits(low_hz, high_hz) is fits


def test_a_band_that_is_not_known_fits_nothing() -> None:
    assert fitting(shipped().allocations, None, None) == []
    assert band_text(None, None) == "unknown"
    assert band_text(169_487_500, 169_587_500) == "169.4875-169.5875 MHz"


def test_presets_and_decoders_tell_where_a_link_listens_and_frequency_mhz_counts_before_them() -> (
    None
):
    text = """
        links = [
            { kind = "serial", name = "tags", device = "a", preset = "fsktag" },
            { kind = "serial", name = "nodes", device = "b", preset = "node3" },
            { kind = "serial", name = "as-it-is", device = "c" },
            { kind = "serial", name = "blu", device = "d", decoder = "ctt-blu" },
            { kind = "serial", name = "moved", device = "e", preset = "node3",
              frequency_mhz = 434 },
            { kind = "socket", name = "driver", path = "f", decoder = "ctt-blu-driver" },
            { kind = "mqtt", name = "field", broker = "mqtt://h", topics = [
                { topic = "a", decoder = "chirpstack", frequency_mhz = 868.1, antenna = "mast" },
                { topic = "b", decoder = "rtl433" },
            ] },
        ]
    """
    settings = config.parse(text.replace("\n", " ").strip(), Path("/etc/stopover/station.toml"))
    told = [(each.link, each.antenna, each.band) for each in tunings(settings.links)]
    assert told == [
        ("tags", None, "434.000 MHz"),
        ("nodes", None, "433.250 MHz"),
        ("as-it-is", None, "unknown"),
        ("blu", None, "2400.000-2483.500 MHz"),
        ("moved", None, "434.000 MHz"),
        ("driver", None, "2400.000-2483.500 MHz"),
        ("field", "mast", "868.100 MHz"),
        ("field", None, "unknown"),
    ]


def warned(folder: Path, place: tuple[float, float], *, vhf_mhz: float) -> list[str]:
    settings = config.load(write_config(folder, place, vhf_mhz=vhf_mhz))
    return list(config.warnings(settings))


def test_a_frequency_that_fits_the_place_is_not_warned_of(tmp_path: Path) -> None:
    assert warned(tmp_path, ZURICH, vhf_mhz=150.1) == []
    assert warned(tmp_path, BOSTON, vhf_mhz=166.38) == []


def test_a_frequency_that_fits_no_allocation_at_the_place_is_warned_of(tmp_path: Path) -> None:
    (warning,) = warned(tmp_path, ZURICH, vhf_mhz=166.38)
    assert warning.startswith("link vhf: 166.380 MHz fits no allocation")
    assert "Switzerland" in warning


def test_a_band_that_is_not_for_wildlife_is_named_in_the_warning(tmp_path: Path) -> None:
    (warning,) = warned(tmp_path, BOSTON, vhf_mhz=165.0)
    assert "not for wildlife tags: us-federal-164" in warning


def test_a_warning_says_that_no_country_is_known_at_the_place(tmp_path: Path) -> None:
    nodes, vhf = warned(tmp_path, NAIROBI, vhf_mhz=150.1)
    assert "433.250 MHz" in nodes
    assert "150.100 MHz" in vhf
    assert "no rows of a country here" in vhf


def test_check_prints_the_warning_and_succeeds(tmp_path: Path) -> None:
    result = stopover("check", "-c", write_config(tmp_path, vhf_mhz=166.38))
    assert result.exit_code == 0
    assert "note: link vhf: 166.380 MHz fits no allocation" in result.stderr


def test_a_station_without_a_place_is_not_warned() -> None:
    text = '[[links]]\nkind="serial"\nname="a"\ndevice="x"\nfrequency_mhz=5000.5\n'
    assert list(config.warnings(config.parse(text, Path("/etc/stopover/station.toml")))) == []


def test_occupancy_is_told_by_band_and_hour_as_csv(station: Path) -> None:
    result = stopover("spectrum", "-c", station, "--format", "csv")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert tuple(rows[0]) == OCCUPANCY_KEYS
    told = [
        (row["hour"][11:13], row["band"], row["antennas"], row["packets"], row["pulses"])
        for row in rows
    ]
    assert told == [
        ("12", "unknown", "1", "1", "0"),
        ("12", "150.100 MHz", "2", "0", "42"),
        ("12", "434.000 MHz", "1", "7", "0"),
        ("13", "150.100 MHz", "2", "0", "42"),
        ("13", "434.000 MHz", "1", "6", "0"),
    ]
    vhf, tags = rows[1], rows[2]
    assert (vhf["listening_s"], vhf["allocations"]) == ("7200.0", "motus-europe")
    assert (vhf["noise_dbm"], vhf["pulse_noise_db"]) == ("", "-61.0")
    assert (float(tags["noise_dbm"]), tags["pulse_noise_db"]) == (-101.0, "")
    assert float(rows[4]["noise_dbm"]) == -108.0


def test_since_and_until_choose_hours(station: Path) -> None:
    chosen = ("--since", "2026-05-12T13:00", "--until", "2026-05-12T14:00")
    result = stopover("spectrum", "-c", station, "--format", "csv", *chosen)
    hours = {row["hour"][:16] for row in csv.DictReader(io.StringIO(result.stdout))}
    assert hours == {"2026-05-12T13:00"}


def test_the_table_shows_advice_allocations_links_and_totals(station: Path) -> None:
    result = stopover("spectrum", "-c", station)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("This is no legal advice.")
    for words in ("ch-wildlife-148", "RIR1003-02", "preset node3", "Measured occupancy"):
        assert words in result.output


def test_json_is_one_object_a_line_of_a_kind(station: Path) -> None:
    result = stopover("spectrum", "-c", station, "--format", "json")
    rows = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    kinds = [row["kind"] for row in rows]
    assert kinds[0] == "advice"
    assert rows[0]["regions"][0] == "WORLD"
    assert set(kinds) == {"advice", "allocation", "link", "occupancy"}
    row = next(row for row in rows if row.get("id") == "eu-169.5")
    assert (row["low_hz"], row["high_hz"]) == (169_487_500, 169_587_500)
    assert {"status", "confidence", "source", "checked_on"} <= set(row)


def test_a_region_may_be_named_instead_of_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = stopover("spectrum", "--region", "jp")
    assert result.exit_code == 0, result.output
    assert "jp-920" in result.output
    assert "eu-433" not in result.output
    placed = stopover("spectrum", "--latitude", "47.37", "--longitude", "8.54")
    assert "ch-wildlife-148" in placed.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "where?"),
        (("--region", "XX"), "known are WORLD"),
        (("--latitude", "47"), "both --latitude and --longitude"),
        (("--latitude", "47", "--longitude", "8", "--region", "CH"), "either a place or"),
        (("--region", "CH", "--format", "csv"), "--db"),
        (("--region", "CH", "--plot", "x.svg"), "--db"),
        (("-c", "none.toml"), "stopover init"),
    ],
)
def test_wrong_use_is_told_with_what_would_be_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = stopover("spectrum", *arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_the_plot_is_an_svg_with_a_panel_a_band_and_the_hours_heard(
    station: Path, tmp_path: Path
) -> None:
    plot = tmp_path / "occupancy.svg"
    result = stopover("spectrum", "-c", station, "--plot", plot)
    assert result.exit_code == 0, result.output
    root = ET.fromstring(plot.read_text(encoding="utf-8"))  # noqa: S314  Our own file.
    texts = [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]
    for band in ("150.100 MHz: motus-europe", "unknown: no allocation known", "434.000 MHz"):
        assert any(text.startswith(band) for text in texts), band
    titles = [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}title")]
    assert sum("42 pulses" in title for title in titles) == 2
    assert any("7 packets" in title for title in titles)


def test_a_plot_of_nothing_and_of_hostile_names_is_still_an_svg() -> None:
    drawn = occupancy_svg([], "<b>&marsh", "advice <x>")
    assert ET.fromstring(drawn).tag.endswith("svg")  # noqa: S314  Our own text.
    assert "No hour of listening" in drawn


def test_a_store_without_hours_of_listening_says_so(tmp_path: Path) -> None:
    Store.open(tmp_path / "marsh.db", station_id="marsh").close()
    result = stopover("spectrum", "--region", "CH", "--db", tmp_path / "marsh.db")
    assert "no hour of listening" in result.output


def test_a_store_alone_tells_where_its_software_radios_listened_and_where_it_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stick = Source(link="stick", decoder="radio-ctt/1", antenna="roof")
    place = GpsFix(latitude=ZURICH[0], longitude=ZURICH[1])

    def stamp(hour: int) -> Stamp:
        return Stamp((NOON_S + 3600 * hour + 60) * 10**9, "ntp", 5, "boot")

    with Store.open(tmp_path / "sdr.db", station_id="marsh") as store:
        store.append(
            [
                Arrival(place, Source(link="station", decoder="configuration/1"), stamp(0)),
                *(
                    Arrival(
                        StationHealth(
                            measurements={"frequency_hz": hz, "noise_dbfs": -20.0, "occupancy": 0.1}
                        ),
                        stick,
                        stamp(hour),
                    )
                    for hour, hz in ((0, 434e6), (0, 434e6), (1, 434e6), (1, 869.5e6), (2, 869.5e6))
                ),
            ]
        )
        with store.transaction():
            for hour in range(3):
                store.put_activity(hour_of("stick", "roof", hour, detections=9, pulses=0))
    result = stopover("spectrum", "--db", "sdr.db", "--format", "csv")
    assert result.exit_code == 0, result.output
    hours = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(each["hour"][11:13], each["band"], each["noise_dbfs"]) for each in hours] == [
        ("12", "434.000 MHz", "-20.0"),
        ("13", "unknown", "-20.0"),
        ("14", "869.500 MHz", "-20.0"),
    ], "an hour in which it was tuned anew is of neither band"
    assert "eu-433" in hours[0]["allocations"]
    told = stopover("activity", "--db", "sdr.db", "--format", "json").stdout.splitlines()
    for each in map(msgspec.json.decode, told):
        assert (each["noise_dbfs"], each["occupied"]) == (-20.0, 0.1)
    shown = stopover("spectrum", "--db", "sdr.db").output
    assert "ch-wildlife-148" in shown
    assert "told by the radio" in shown
    (tmp_path / "stopover.toml").write_text(
        '[[links]]\nkind = "software-radio"\nname = "stick"\nsource = "rtl_tcp://pi"\n'
        'frequency_mhz = 150.1\nantenna = "roof"\n'
    )
    again = stopover("spectrum", "--db", "sdr.db", "--format", "csv").stdout
    assert "150.100" not in again, "what it listened to then counts before what is configured now"


def test_an_antenna_that_no_topic_names_counts_to_the_band_that_its_link_has_alone() -> None:
    def topic(low_hz: int, antenna: str) -> Tuning:
        return Tuning(
            link="field",
            antenna=antenna,
            decoder="station-link",
            low_hz=low_hz,
            high_hz=low_hz,
            known_from="frequency_mhz",
        )

    hour = {
        "hour": "2026-05-12T12:00:00.000000Z",
        "link": "field",
        "antenna": "7",
        "listening_s": 60.0,
        "frames": 1,
        "detections": 1,
        "pulses": 0,
        "noise_dbm": None,
    }

    def bands(*topics: Tuning) -> list[str]:
        return [each["band"] for each in hourly_occupancy([hour], [], topics, ())]

    assert bands(topic(434_000_000, "1"), topic(434_000_000, "2")) == ["434.000 MHz"]
    assert bands(topic(434_000_000, "1"), topic(868_100_000, "2")) == ["unknown"]
    assert bands(topic(434_000_000, "1"), topic(868_100_000, "7")) == ["868.100 MHz"]
