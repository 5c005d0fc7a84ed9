"""What the daemon does not load before it is needed: memory is 60 MB on the smallest computer."""

import importlib
import subprocess
import sys

import pytest

from receiver.lean_start import UNUSED, without

COSTLY = ("aiohttp", "numpy", "prometheus_client", "rich", "tomlkit")


@pytest.mark.parametrize("module", COSTLY)
def test_the_daemon_starts_without(module: str) -> None:
    loads = (
        "import sys; from receiver.lean_start import UNUSED, without\n"
        f"with without(*UNUSED): import receiver.daemon\nsys.exit({module!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", loads], check=False).returncode == 0


def test_what_the_daemon_starts_without_can_be_had_later() -> None:
    with without("a_module_that_nobody_has", *UNUSED):
        pass
    assert importlib.import_module("rich") is sys.modules["rich"]
    assert "a_module_that_nobody_has" not in sys.modules


def test_the_page_is_loaded_without_what_only_exports_need() -> None:
    loads = "import sys, receiver.web.app; sys.exit('receiver.exports.formats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loads], check=False).returncode == 0
