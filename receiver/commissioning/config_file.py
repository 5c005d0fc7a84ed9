"""Changing an owner's configuration file: comments and order stay, and it is whole at every moment.

A new text is checked as the daemon checks it before it takes the place of the old one; the old one
stays beside it, with the day in its name. Needs `tomlkit`, which keeps what it does not change.
"""

import contextlib
import datetime as dt
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from receiver import config
from receiver.commissioning.state import CommissioningError
from receiver.settings import Settings
from receiver.store.database import sync_folder

Value = str | float | int | bool | None


class ConfigurationFile:
    """One configuration file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def settings(self) -> Settings:
        """Return what it says.

        Raises:
            CommissioningError: it cannot be read, or anything in it is wrong.
        """
        return self._checked(self._text())

    @property
    def can_write(self) -> bool:
        """Whether it can be replaced from here."""
        folder = self.path.absolute().parent
        return os.access(folder, os.W_OK | os.X_OK)

    def change(self, edit: Callable[["Edits"], None], now: dt.datetime) -> Settings:
        """Change it; return the new settings. Nothing is written where nothing changes.

        Raises:
            CommissioningError: the new text would be wrong, or it cannot be written; the text that
                somebody else may save is then in `text_to_save`.
        """
        before = self._text()
        edits = Edits(before)
        edit(edits)
        text = edits.text()
        settings = self._checked(text)
        if text != before:
            try:
                self._replace(text, now)
            except OSError as error:
                raise CommissioningError(
                    f"{self.path}: cannot be written: {error.strerror or error}",
                    "run `sudo stopover commission` at the station, or save the text yourself",
                    text_to_save=text,
                ) from error
        return settings

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return config.example()
        except (OSError, UnicodeDecodeError) as error:
            raise CommissioningError(
                f"{self.path}: cannot be read: {error}", "check the file and who may read it"
            ) from error

    def _checked(self, text: str) -> Settings:
        try:
            return config.parse(text, self.path)
        except config.ConfigError as error:
            raise CommissioningError(str(error), "mend what it names, then go on") from error

    def _replace(self, text: str, now: dt.datetime) -> None:
        """Write beside it, sync, keep the old one, rename over it, sync the folder."""
        target = self.path.resolve()  # A link to it stays a link.
        folder = target.parent
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=folder)
        new = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                _take_ownership(target, file.fileno())
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                _keep(target, now)
            new.replace(target)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        sync_folder(folder)


def _put(table: Any, key: str, value: Value) -> None:  # noqa: ANN401  tomlkit's own.
    """Set a key, or with None take it away; what is the same stays as it is written."""
    if value is None:
        table.pop(key, None)
    elif table.get(key) != value:
        table[key] = value


def _take_ownership(old: Path, descriptor: int) -> None:
    """Give a new file the mode and owner of the old one: others must read it as before."""
    try:
        status = old.stat()
    except FileNotFoundError:
        # The folder's group is the service's, which must read it.
        os.fchmod(descriptor, 0o640)
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, -1, old.parent.stat().st_gid)
        return
    os.fchmod(descriptor, status.st_mode & 0o7777)
    with contextlib.suppress(PermissionError):  # Who may not give it away owns it from now on.
        os.fchown(descriptor, status.st_uid, status.st_gid)


def _keep(path: Path, now: dt.datetime) -> None:
    """Give the old file a second name; the first of a day stays, as it was before the visit."""
    kept = path.with_name(f"{path.name}.before-{now:%Y%m%d}")
    try:
        os.link(path, kept)
    except FileExistsError:
        return
    except OSError:  # FAT knows no links.
        kept.write_bytes(path.read_bytes())


class Edits:
    """Changes to the text of a configuration."""

    def __init__(self, text: str) -> None:
        self._before = text
        self._document = self._parsed(text)

    def text(self) -> str:
        """Return the text as it is now."""
        return tomlkit.dumps(self._document)

    def set(self, section: str, key: str, value: Value) -> None:
        """Set a key of a table, or with None take it away; a comment that names it gives way."""
        table = self._document.get(section)
        if table is None:
            if value is None:
                return
            table = self._document[section] = tomlkit.table()
        if value is None:
            table.pop(key, None)
        elif table.get(key) != value:
            if key not in table:
                self._uncomment(section, key)
                table = self._document[section]
            table[key] = value

    def put(
        self,
        array: str,
        key: str,
        values: Mapping[str, Value],
        also: Mapping[str, Value] | None = None,
    ) -> None:
        """Change the table of an array whose `key` is as in `values`, or add one.

        A value of None takes a key away; `also` is put into a new table only.
        """
        tables = self._tables(array)
        for table in tables:
            if table.get(key) == values[key]:
                for name, value in values.items():
                    _put(table, name, value)
                return
        new = tomlkit.table()
        new.trivia.indent = "\n"  # A blank line before it.
        for name, value in {**values, **(also or {})}.items():
            if value is not None:
                new[name] = value
        tables.append(new)

    def label(
        self, link: str, antenna: str | None, *, topic: int | None = None, radio: str | None = None
    ) -> None:
        """Set the label of a link's antenna: that of a subscription, of one radio of several."""
        for table in self._tables("links"):
            if table.get("name") == link:
                radios = table if topic is None else table["topics"][topic]
                if radio is None:
                    _put(radios, "antenna", antenna)
                    continue
                if "antennas" not in radios:
                    radios["antennas"] = tomlkit.inline_table()
                _put(radios["antennas"], radio, antenna)
                if not radios["antennas"]:
                    radios.pop("antennas")

    def _tables(self, array: str) -> Any:  # noqa: ANN401  tomlkit's own list of tables.
        if array not in self._document:
            self._document[array] = tomlkit.aot()
        tables = self._document[array]
        if not isinstance(tables, AoT | list):
            raise CommissioningError(
                f"{array} in the configuration is no list of tables", f"write it as [[{array}]]"
            )
        return tables

    def _uncomment(self, section: str, key: str) -> None:
        """Turn the comment `# key = …` of a table into the key, so that its help stays above it."""
        text = self.text()
        header = re.search(rf"^\s*\[{re.escape(section)}\]", text, re.MULTILINE)
        if header is None:
            return
        following = re.search(r"^\s*\[", text[header.end() :], re.MULTILINE)
        end = header.end() + following.start() if following else len(text)
        commented = re.compile(rf"^#\s*{re.escape(key)}\s*=.*$", re.MULTILINE)
        found = commented.search(text, header.end(), end)
        if found is not None:
            self._document = self._parsed(f"{text[: found.start()]}{key} = 0{text[found.end() :]}")

    @staticmethod
    def _parsed(text: str) -> tomlkit.TOMLDocument:
        try:
            return tomlkit.parse(text)
        except TOMLKitError as error:
            raise CommissioningError(
                f"the configuration is not TOML: {error}", "mend what it names, then go on"
            ) from error
