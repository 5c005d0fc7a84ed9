"""What the daemon does not load before it is needed: memory is 60 MB on the smallest computer."""

import subprocess
import sys

import pytest

COSTLY = ("aiohttp", "numpy", "prometheus_client", "tomlkit")


@pytest.mark.parametrize("module", COSTLY)
def test_the_daemon_starts_without(module: str) -> None:
    loads = f"import receiver.daemon, sys; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loads], check=False).returncode == 0
