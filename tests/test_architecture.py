"""The order of the house: which package and which room may import which, read from the source."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("protocols", "receiver", "simulator")

MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "protocols": frozenset(),
    "receiver": frozenset({"protocols"}),
    "simulator": frozenset({"protocols"}),
}
STARTS_THE_SIMULATOR = frozenset({"receiver.cli.simulate", "receiver.cli.demo"})

FLOORS = (
    (
        "setting_types",
        "watch_settings",
        "sink_settings",
        "radio_settings",
        "sink_tables",
        "arrivals",
        "settings",
        "config",
        "payload_codecs",
        "toml_tables",
        "utc_text",
        "spectrum",
        "lean_start",
        "returned_memory",
        "limits",
        "log",
        "log_ring",
        "confidence",
    ),
    (
        "store",
        "unknown_shapes",
        "decode_watch",
        "links",
        "clock",
        "clock_trust",
        "runs",
        "recording",
        "serial_ports",
        "references",
        "positions",
        "whereabouts",
        "run_index",
        "supervision",
        "radio_worker",
    ),
    (
        "live",
        "walk_test",
        "commissioning",
        "heard",
        "waiting_rows",
        "pipeline",
        "intakes",
        "own_records",
        "minute",
        "coded_ids",
        "connecting",
        "redecoding",
        "activity",
        "importing",
        "exports",
        "health",
        "scoring",
    ),
    ("sinks", "web", "metrics", "collector", "doctor"),
    ("daemon",),
    ("cli",),
)
"""The rooms of `receiver`, lowest first. A room may import from its own floor and those below."""
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

TOUCHES_THE_WORLD = frozenset(
    (
        "aiohttp",
        "aiomqtt",
        "asyncio",
        "click",
        "concurrent",
        "fcntl",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "paho",
        "pathlib",
        "queue",
        "random",
        "rich",
        "secrets",
        "select",
        "selectors",
        "serial",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "sqlite_utils",
        "ssl",
        "structlog",
        "subprocess",
        "sys",
        "tempfile",
        "termios",
        "threading",
        "time",
        "tty",
        "urllib",
    )
)
PURE_SIMULATION = (
    "agenda",
    "air",
    "antennas",
    "chance",
    "ears",
    "energy",
    "firmware",
    "hearing",
    "line_noise",
    "node_traffic",
    "noise_traffic",
    "positions",
    "printing",
    "pulse_radio",
    "recorded_names",
    "relaying",
    "saturation",
    "scenario",
    "scenario_file",
    "station_life",
    "stations",
    "tag_life",
    "tags",
    "tracks",
    "truth",
    "world",
)
"""The modules of `simulator` that a world is made of."""
CALLS_THE_WORLD = frozenset({"open", "print", "input", "now", "utcnow", "today", "monotonic"})


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): ast.parse(path.read_text(encoding="utf-8"), str(path))
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def imported(tree: ast.AST, known: Mapping[str, object]) -> Iterator[str]:
    """Yield every module that a source imports, wherever in it, for types or for use."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in below if name in known]
            yield from modules
            if len(modules) < len(below):
                yield node.module


IMPORTS = {name: set(imported(tree, SOURCES)) for name, tree in SOURCES.items()}


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the nodes of a circle, the first one again at the end, or nothing."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for target in sorted(graph.get(node, ())):
            found = walk(target, [*path, node])
            if found:
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := walk(node, []))), [])


def room_of(module: str) -> str:
    """Return the room of a module of `receiver`."""
    return module.split(".")[1]


def rooms() -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {}
    for module, targets in IMPORTS.items():
        if module.startswith("receiver."):
            inside = {room_of(target) for target in targets if target.startswith("receiver.")}
            graph.setdefault(room_of(module), set()).update(inside - {room_of(module)})
    return graph


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_one_way(package: str) -> None:
    wrong = [
        (module, target)
        for module, targets in IMPORTS.items()
        for target in targets
        if module.split(".")[0] == package
        and target.split(".")[0] in PACKAGES
        and target.split(".")[0] not in MAY_IMPORT[package] | {package}
        and not (module in STARTS_THE_SIMULATOR and target.split(".")[0] == "simulator")
    ]
    assert wrong == []


def test_nothing_imports_the_tests() -> None:
    assert not [module for module, targets in IMPORTS.items() if "tests" in targets]


def test_protocols_import_nothing_that_touches_the_world() -> None:
    wrong = [
        (module, target)
        for module, targets in IMPORTS.items()
        for target in targets
        if module.split(".")[0] == "protocols" and target.split(".")[0] in TOUCHES_THE_WORLD
    ]
    assert wrong == []


def test_protocols_open_nothing_print_nothing_and_read_no_clock() -> None:
    assert [
        (module, name)
        for module, tree in SOURCES.items()
        if module.split(".")[0] == "protocols"
        for name in called(tree)
        if name in CALLS_THE_WORLD
    ] == []


def called(tree: ast.AST) -> Iterator[str]:
    """Yield the name of every function and method that a source calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id
            elif isinstance(node.func, ast.Attribute):
                yield node.func.attr


def test_a_simulated_world_is_pure_too() -> None:
    modules = [f"simulator.{name}" for name in PURE_SIMULATION]
    dice = {"random"}
    wrong = [
        (module, target)
        for module in modules
        for target in IMPORTS[module]
        if target.split(".")[0] in TOUCHES_THE_WORLD - dice
    ]
    assert wrong == []


def test_every_room_of_the_receiver_has_its_floor() -> None:
    homeless = set(rooms()) - set(FLOOR_OF)
    assert not homeless, f"say in FLOORS on which floor these stand: {sorted(homeless)}"


def test_no_room_reaches_up() -> None:
    upward = [
        (room, target)
        for room, targets in rooms().items()
        for target in targets
        if FLOOR_OF.get(target, 0) > FLOOR_OF.get(room, len(FLOORS))
    ]
    assert upward == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    assert circle(rooms()) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    inside = {
        module: {target for target in targets if target.split(".")[0] == package} - {module}
        for module, targets in IMPORTS.items()
        if module.split(".")[0] == package
    }
    assert circle(inside) == []


def test_imports_are_seen_wherever_they_stand() -> None:
    source = "import a.b\nfrom c import d, e\ndef late():\n    from c.f import g\n"
    assert list(imported(ast.parse(source), {"c.d": None})) == ["a.b", "c.d", "c", "c.f"]


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
