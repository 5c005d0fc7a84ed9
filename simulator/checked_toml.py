"""TOML that must become a value of a given type: each complaint names file, key and what is right.

Types, bounds and sentences of help stand in the structs (`msgspec.Meta`); here is only how to find
the place and the words.
"""

import difflib
import re
import tomllib
import types
import typing
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import Meta

_Value = TypeVar("_Value", bound=msgspec.Struct)

_PLACE = re.compile(r"(?P<said>.*) - at `\$\.?(?P<key>.*)`", re.DOTALL)
_STEP = re.compile(r"(?P<name>[^.\[\]]+)(?:\[(?P<index>\d+)\])?")


class WrongKeyError(Exception):
    """A file that cannot be used; one line for each complaint."""


def parsed(text: str, path: str, wanted: type[_Value]) -> _Value:
    """Return the text of a TOML file as a value of `wanted`.

    Raises:
        WrongKeyError: it is no TOML, or a key is unknown, missing or out of bounds.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongKeyError(f"{path}: this is not TOML: {error}") from error
    unknown = list(_unknown_keys(tree, wanted, ""))
    if unknown:
        raise WrongKeyError("\n".join(complaint(path, text, *each) for each in unknown))
    try:
        return msgspec.convert(tree, wanted)
    except msgspec.ValidationError as error:
        match = _PLACE.fullmatch(str(error))
        key, said = (match["key"], match["said"]) if match else ("", str(error))
        said = re.sub(r" matching regex '.*'", " of another form", said)
        raise WrongKeyError(complaint(path, text, key, f"{said}{_help(wanted, key)}")) from error


def complaint(path: str, text: str, key: str, said: str) -> str:
    """Return one complaint with file, the line where the key seems to stand, and the key."""
    line = _line_of(text, key)
    return f"{path}:{f'{line}:' if line else ''} {key or 'file'}: {said}"


def _line_of(text: str, key: str) -> int | None:
    """Return the line of a key: each step is looked for below the one before it."""
    at, found = 0, None
    for step in _STEP.finditer(key):
        pattern = rf"^\s*\[+\s*(?:[\w-]+\.)*{re.escape(step['name'])}\s*\]"
        headers = [at + each.start() for each in re.finditer(pattern, text[at:], re.MULTILINE)]
        index = int(step["index"] or 0)
        if index < len(headers):
            at = found = headers[index]
            continue
        own = re.compile(rf"(?<![\w-]){re.escape(step['name'])}\s*=").search(text, at)
        if own is not None:
            at = found = own.start()
    # A header's match may begin with the blank lines before it.
    return None if found is None else text.count("\n", 0, found) + 1 + _blanks_at(text, found)


def _blanks_at(text: str, at: int) -> int:
    return text[at : len(text) - len(text[at:].lstrip())].count("\n")


def _bare(hint: Any) -> Any:  # noqa: ANN401  A type hint has no type.
    return hint.__origin__ if hasattr(hint, "__metadata__") else hint


def _structs_of(hint: Any) -> list[type[msgspec.Struct]]:  # noqa: ANN401  A type hint has no type.
    """Return the structs that a hint allows: itself, or the members of a union."""
    hint = _bare(hint)
    members = (
        typing.get_args(hint)
        if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
        else (hint,)
    )
    bare = [_bare(member) for member in members]
    return [each for each in bare if isinstance(each, type) and issubclass(each, msgspec.Struct)]


def _element_of(hint: Any) -> Any:  # noqa: ANN401  A type hint has no type.
    arguments = typing.get_args(_bare(hint))
    return arguments[0] if typing.get_origin(_bare(hint)) is tuple and arguments else None


def _struct_for(tree: object, hint: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401
    """Return the struct that a table is to become; one of several is told by its `kind`."""
    structs = _structs_of(hint)
    if len(structs) == 1:
        return structs[0]
    if isinstance(tree, dict):
        for each in structs:
            if each.__struct_config__.tag == tree.get("kind"):
                return each
    return None


def _unknown_keys(tree: object, hint: Any, at: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    if isinstance(tree, list):
        for number, each in enumerate(tree):
            yield from _unknown_keys(each, _element_of(hint), f"{at}[{number}]")
        return
    struct = _struct_for(tree, hint)
    if struct is None or not isinstance(tree, dict):
        return
    hints = typing.get_type_hints(struct, include_extras=True)
    for key, value in tree.items():
        where = f"{at}.{key}" if at else key
        if key in hints:
            yield from _unknown_keys(value, hints[key], where)
        elif key != struct.__struct_config__.tag_field:
            near = difflib.get_close_matches(key, hints, n=1)
            told = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(hints)}"
            yield where, f"there is no such key; {told}"


def _help(wanted: type[msgspec.Struct], key: str) -> str:
    """Return what the struct says of a key: its sentence, its range, its choices."""
    hint: Any = wanted
    for step in _STEP.finditer(key):
        fields = [
            typing.get_type_hints(each, include_extras=True).get(step["name"])
            for each in _structs_of(hint)
        ]
        hint = next((each for each in fields if each is not None), None)
        if step["index"] and hint is not None:
            hint = _element_of(hint)
        if hint is None:
            return ""
    metas = _metas(hint) + [
        meta for member in typing.get_args(_bare(hint)) for meta in _metas(member)
    ]
    told = "".join(f": {each.description}" for each in metas[:1] if each.description)
    bounds = [f"[{each.ge} to {each.le}]" for each in metas if each.ge is not None and each.le]
    return " ".join([told, *bounds]).rstrip()


def _metas(hint: Any) -> list[Meta]:  # noqa: ANN401  A type hint has no type.
    """Return what is said of a hint, the last said first."""
    return [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Meta)][::-1]
