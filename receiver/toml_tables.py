"""TOML files that owners write: the example that explains one, and the check of what was written.

Both are made from the structs that the file becomes, whose fields carry their help, bounds and
defaults; there is no second list of keys.
"""

import difflib
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Meta

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def checked(
    text: str,
    path: Path,
    struct: type[_Struct],
    error: type[Exception],
    reword: Callable[[str, str], str] = lambda _, said: said,
) -> _Struct:
    """Return the text of a file as `struct`.

    `reword` may put the complaint about a key (its first argument) into better words.

    Raises:
        error: it is no TOML, or a key is unknown or wrong; the message names file, line, key and
            what would be right. Every unknown key is named.
    """
    try:
        # Editors of Windows put a byte order mark before the first line.
        tree = tomllib.loads(text.removeprefix("\ufeff"))
    except (tomllib.TOMLDecodeError, RecursionError) as problem:
        raise error(f"{path}: this is not TOML: {problem}") from problem
    complaints = list(_unknown_keys(tree, struct, "", tuple(_keys_in_sections(struct))))
    if complaints:
        raise error("\n".join(at_line(path, text, key, said) for key, said in complaints))
    try:
        return msgspec.convert(tree, struct)
    except msgspec.ValidationError as problem:
        key, said = _where(str(problem), struct, tree, reword)
        raise error(at_line(path, text, key, said)) from problem


def sections(struct: type[msgspec.Struct]) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """Yield the tables of a file: name and struct."""
    for field in msgspec.structs.fields(struct):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield field.name, field.type


def summary(struct: type) -> str:
    """Return the first line of what a table is."""
    return (struct.__doc__ or "").splitlines()[0]


def key_lines(struct: type[msgspec.Struct], chosen: Mapping[str, object]) -> Iterator[str]:
    """Yield the lines of a table: each key's help, and the key, commented out unless chosen."""
    hints = typing.get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        meta = _meta(hints[field.name])
        yield f"# {meta.description if meta else ''} {_allowed(hints[field.name])}".rstrip() + "\n"
        if field.name in chosen:
            yield f"{field.name} = {_toml(chosen[field.name])}\n"
        else:
            value = "" if field.default in (None, msgspec.NODEFAULT) else _toml(field.default)
            yield f"# {field.name} = {value}".rstrip() + "\n"


def anchored(table: _Struct, keys: Iterable[str], folder: Path) -> _Struct:
    """Return a table with the relative paths under `keys` taken from `folder`.

    A key that this table has not, or that is empty, is passed over.
    """
    told = {key: getattr(table, key, None) for key in keys}
    return msgspec.structs.replace(
        table, **{key: str(folder / file) for key, file in told.items() if file}
    )


def nearest(key: str, known: Iterable[str], elsewhere: Iterable[str] = ()) -> str:
    """Return what may have been meant by a key that nobody knows."""
    known = list(known)
    near = difflib.get_close_matches(key, [*known, *elsewhere], n=1)
    return f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"


def at_line(path: Path, text: str, key: str, said: str) -> str:
    """Return the complaint with the file, the line where the key seems to stand, and the key."""
    last = re.sub(r"\[\d+\]", "", key).rsplit(".", 1)[-1]
    pattern = re.compile(rf"^\s*(\[*\s*)?{re.escape(last)}\s*[=\].]", re.MULTILINE)
    match = (
        (pattern.search(text, _table_start(text, key)) or pattern.search(text)) if last else None
    )
    line = f"{text.count(chr(10), 0, match.end()) + 1}:" if match else ""
    return f"{path}:{line} {key or 'configuration'}: {said}"


def _table_start(text: str, key: str) -> int:
    """Return where the table of an array begins that a key (`links[1].name`) is in; else 0."""
    array = re.match(r"(\w+)\[(\d+)\]", key)
    if array is None:
        return 0
    header = re.compile(rf"^\s*\[\[\s*{array[1]}\s*\]\]", re.MULTILINE)
    headers = [match.end() for match in header.finditer(text)]
    return headers[int(array[2])] if int(array[2]) < len(headers) else 0


def _meta(hint: Any) -> Meta | None:  # noqa: ANN401  A type hint has no type.
    metas = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Meta)]
    return next((each for each in reversed(metas) if each.description), None)


def _allowed(hint: Any) -> str:  # noqa: ANN401  A type hint has no type.
    """Return the allowed values or range of a key in brackets, "" where anything goes."""
    inner = getattr(hint, "__origin__", hint)
    if typing.get_origin(inner) is typing.Literal:
        return f"[{' | '.join(value or '(empty)' for value in typing.get_args(inner))}]"
    for meta in getattr(hint, "__metadata__", ()):
        if meta.ge is not None and meta.le is not None:
            return f"[{meta.ge} to {meta.le}]"
    return ""


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return msgspec.json.encode(value).decode()


def _unknown_keys(
    tree: object,
    wanted: Any,  # noqa: ANN401  A type hint has no type.
    at: str,
    elsewhere: tuple[str, ...],
) -> Iterator[tuple[str, str]]:
    """Yield (key, complaint) for every key that no struct knows, with the nearest one that does."""
    if isinstance(tree, list):
        elements = typing.get_args(wanted)
        for number, each in enumerate(tree if elements else ()):
            yield from _unknown_keys(each, elements[0], f"{at}[{number}]", elsewhere)
        return
    struct = _struct_for(tree, wanted)
    if struct is None or not isinstance(tree, dict):
        return
    fields = {
        field.name: _bare(hint)
        for field, hint in zip(
            msgspec.structs.fields(struct), typing.get_type_hints(struct).values(), strict=True
        )
    }
    for key, value in tree.items():
        where = f"{at}.{key}" if at else key
        if key in fields:
            yield from _unknown_keys(value, fields[key], where, elsewhere)
        elif key != struct.__struct_config__.tag_field:
            yield where, f"there is no such key; {nearest(key, fields, elsewhere)}"


def _bare(hint: Any) -> Any:  # noqa: ANN401  A type hint has no type.
    return hint.__origin__ if hasattr(hint, "__metadata__") else hint


def _keys_in_sections(struct: type[msgspec.Struct]) -> Iterator[str]:
    for section, table in sections(struct):
        for field in msgspec.structs.fields(table):
            yield f"{section}.{field.name}"


def _struct_for(tree: object, wanted: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401
    """Return the struct that a piece of the tree is to become; of several, the tag tells which."""
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return wanted
    if isinstance(wanted, types.UnionType) and isinstance(tree, dict):
        structs: tuple[type[msgspec.Struct], ...] = typing.get_args(wanted)
        for each in structs:
            settings = each.__struct_config__ if issubclass(each, msgspec.Struct) else None
            if settings and settings.tag == tree.get(settings.tag_field or ""):
                return each
    return None


def _where(
    message: str,
    struct: type[msgspec.Struct],
    tree: object,
    reword: Callable[[str, str], str],
) -> tuple[str, str]:
    """Return (key, complaint) of one of msgspec's messages, with the key's own help."""
    match = re.fullmatch(r"(?P<said>.*) - at `\$\.?(?P<key>.*)`", message, re.DOTALL)
    key, said = (match["key"], match["said"]) if match else ("", message)
    said = reword(key, said)
    hint = _hint_of(key, struct, tree)
    meta = _meta(hint)
    if meta:
        said = re.sub(r" matching regex '.*'", " of another form", said)
        return key, f"{said}: {meta.description} {_allowed(hint)}".rstrip()
    return key, said


def _hint_of(key: str, struct: type[msgspec.Struct], tree: object) -> Any:  # noqa: ANN401
    """Return the type hint of the key at a path (`links[0].topics[1].decoder`), None for none."""
    hint: Any = struct
    wanted: Any = struct
    for part in re.findall(r"\w+", key):
        if part.isdigit():
            wanted = (typing.get_args(wanted) or (None,))[0]
            hint = wanted
            tree = tree[int(part)] if isinstance(tree, list) and int(part) < len(tree) else None
            continue
        table = _struct_for(tree, wanted)
        hints = typing.get_type_hints(table, include_extras=True) if table else {}
        hint = hints.get(part)
        wanted = _bare(hint)
        tree = tree.get(part) if isinstance(tree, dict) else None
    return hint
