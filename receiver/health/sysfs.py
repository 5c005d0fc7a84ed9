"""Small text files of the kernel, each of them absent on some machine."""

from pathlib import Path


def text(path: Path) -> str | None:
    """Return what a file says, None where there is none or it cannot be read now."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def number(path: Path) -> int | None:
    """Return a file's decimal number, None where it holds none."""
    try:
        return int(text(path) or "")
    except ValueError:
        return None


def word(path: Path, place: int) -> float | None:
    """Return the number that stands at a place among a file's words, the first at 0."""
    try:
        return float((text(path) or "").split()[place])
    except (IndexError, ValueError):
        return None


def matching(folder: Path, pattern: str) -> list[Path]:
    """Return the entries of a folder that fit a pattern, by name; none where there is none."""
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []
