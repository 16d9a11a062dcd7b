"""Options from a TOML file, and back into one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tinyseq.errors import DataError
from tinyseq.tasks import read_text
from tinyseq.train.checkpoints import write_safely


def read_config(path: Path, known: dict[str, type]) -> dict[str, Any]:
    """The options of a file, by the names of the command's; "weight-decay" is weight_decay.

    Raises FileError and DataError that name the key: an unknown one with the nearest there is, a value of another kind.
    """
    text = read_text(path)
    try:
        given = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not TOML: {error}") from None
    return check_options(path, given, known)


def check_options(path: Path, given: dict[str, Any], known: dict[str, type]) -> dict[str, Any]:
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


def _cast(path: Path, key: str, value: Any, kind: type) -> Any:
    fits = {
        bool: lambda: isinstance(value, bool),
        int: lambda: isinstance(value, int) and not isinstance(value, bool),
        float: lambda: isinstance(value, (int, float)) and not isinstance(value, bool),
        str: lambda: isinstance(value, str),
        list: lambda: isinstance(value, (list, str)),
    }[kind]
    if not fits():
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list of texts"}
        raise DataError(f"{path}: the value of {key!r} is {value!r}, expected {words[kind]}")
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
