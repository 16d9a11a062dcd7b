"""Options from a TOML file, and back into one."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from tinyseq.errors import DataError
from tinyseq.tasks import read_text
from tinyseq.train.checkpoints import write_safely


@dataclass(frozen=True)
class Key:
    """What a value must be: its kind, and its least and most where there are such."""

    kind: type
    least: float | None = None
    most: float | None = None


def keys_of(command: Callable[..., Any], without: Iterable[str] = ()) -> dict[str, Key]:
    """The keys of a file: the options of a command by their names, of the same kinds and in the same bounds."""
    return {
        name: _key(*get_args(hint))
        for name, hint in get_type_hints(command, include_extras=True).items()
        if name not in ("return", *without)
    }


def _key(kind: Any, option: Any, *_: Any) -> Key:
    """Of an annotation: ``Path | None`` is text, ``list[str] | None`` a list."""
    if isinstance(kind, UnionType):
        kind = next(part for part in get_args(kind) if part is not NoneType)
    kind = get_origin(kind) or kind
    return Key(kind if kind in (bool, int, float, list) else str, option.min, option.max)


def read_config(path: Path, known: Mapping[str, Key]) -> dict[str, Any]:
    """The options of a file, by the names of the command's; "weight-decay" is weight_decay.

    Raises FileError and DataError that name the key: an unknown one with the nearest there is, a value of another kind.
    """
    text = read_text(path)
    try:
        given = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not TOML: {error}") from None
    return check_options(path, given, known)


def check_options(path: Path, given: dict[str, Any], known: Mapping[str, Key]) -> dict[str, Any]:
    """Options by their names in Python. Raises DataError that names the key."""
    options: dict[str, Any] = {}
    for key, value in given.items():
        name = key.replace("-", "_")
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise DataError(f"{path}: unknown key {key!r}{hint} Known are {', '.join(sorted(known))}")
        options[name] = _cast(path, key, value, known[name])
    return options


def _cast(path: Path, key: str, value: Any, wanted: Key) -> Any:
    kind = wanted.kind
    fits = {
        bool: lambda: isinstance(value, bool),
        int: lambda: isinstance(value, int) and not isinstance(value, bool),
        float: lambda: isinstance(value, (int, float)) and not isinstance(value, bool),
        str: lambda: isinstance(value, str),
        list: lambda: isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) for v in value)),
    }[kind]
    if not fits():
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list of texts"}
        raise DataError(f"{path}: the value of {key!r} is {value!r}, expected {words[kind]}")
    if wanted.least is not None and value < wanted.least:
        raise DataError(f"{path}: the value of {key!r} is {value!r}, expected at least {wanted.least}")
    if wanted.most is not None and value > wanted.most:
        raise DataError(f"{path}: the value of {key!r} is {value!r}, expected at most {wanted.most}")
    return [value] if kind is list and isinstance(value, str) else kind(value)


def save_config(path: Path, options: dict[str, Any]) -> Path:
    """Write the options that hold as TOML."""
    import tomli_w

    told = {name.replace("_", "-"): value for name, value in options.items() if value is not None}
    return write_safely(path, tomli_w.dumps(told).encode())


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise DataError for a text that is none of the choices."""
    choices = list(choices)
    if value is not None and value not in choices:
        close = get_close_matches(str(value), choices, 1)
        raise DataError(
            f"{name} is {', '.join(choices)}; got {value!r}" + (f": did you mean {close[0]}?" if close else "")
        )
