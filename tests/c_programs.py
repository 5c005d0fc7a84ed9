"""C sources of the project, made into programs by the system's compiler, strictly."""

import shutil
import subprocess
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).parents[1] / "deploy" / "firmware"
_STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsanitize=address,undefined")
_RECOVER = ("-fno-sanitize-recover=all",)


def compiled(source: Path, folder: Path, *options: str) -> Path:
    """Return the program that the system's C compiler makes of `source`, sanitizers in it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: sudo apt-get install gcc")
    program = folder / source.stem
    subprocess.run(
        [compiler, *_STRICT, *_RECOVER, *options, "-I", FIRMWARE, source, "-o", program],
        check=True,
        timeout=60,
    )
    return program
