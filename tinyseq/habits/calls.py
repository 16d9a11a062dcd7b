"""Wrong arguments: what was given, what is taken, what to type instead.

``@advised`` stands above what is called now and then, models and optimisers and ``fit``: it costs one more call. A
function that records nodes has no call to spare. Where it takes options it ends its parameters with
``*extra: Never, **other: Never`` and asks ``if extra or other``; where not, Python's own TypeError is said again in
these words when it leaves the ``with ts.Tape()`` block (``retold``).
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypeVar

from tinyseq.errors import CallError, TinyseqError
from tinyseq.habits.argument_tables import CALLS, KEYWORDS, MISSING, SYNONYMS

Thing = TypeVar("Thing", bound=Callable[..., Any])
UNTOLD = (TypeError, AttributeError, ValueError, LookupError)  # unless they are tinyseq's own
HIDDEN = ("extra", "other")  # parameters that only catch what is wrong


def advised(thing: Thing) -> Thing:
    """A function, or a class in its constructor, that answers wrong arguments with a CallError."""
    if not isinstance(thing, type):
        return _advised(thing, None)  # type: ignore[return-value]
    if "__init__" in vars(thing):
        thing.__init__ = _advised(thing.__init__, thing)  # type: ignore[misc]
    return thing


def _advised(function: Callable[..., Any], owner: type | None) -> Callable[..., Any]:
    @wraps(function)
    def call(*given: Any, **options: Any) -> Any:
        try:
            return function(*given, **options)
        except UNTOLD as error:
            if isinstance(error, TinyseqError):
                raise
            made: Any = type(given[0]) if owner else function
            if type(error) is TypeError and at_the_call(error):
                # a class below this one may have no constructor of its own
                thing = owner if owner and made.__init__ is not call else made
                raise wrong_call(thing, given, options, function) from None
            if not _ours(error):
                raise
            raise _unusable(made, error) from error

    return call


def at_the_call(error: BaseException) -> bool:
    """Whether an error caught by the caller was raised by the call itself, before the function ran."""
    return error.__traceback__ is not None and error.__traceback__.tb_next is None


def _ours(error: BaseException) -> bool:
    """Whether an error comes from tinyseq's lines, or from those that these call, not from a function of the user's."""
    return all(_library(frame) for frame, _ in traceback.walk_tb(error.__traceback__))


def _library(frame: Any) -> bool:
    return frame.f_globals.get("__name__", "").split(".")[0] in ("tinyseq", "numpy", "scipy", "numba")


def _unusable(thing: Any, error: BaseException) -> CallError:
    """An argument of a kind that the function can do nothing with, found out only by what went wrong in it."""
    parameters = _parameters(thing.__init__ if isinstance(thing, type) else thing)  # type: ignore[misc]
    note = CALLS.get(thing.__qualname__)
    return CallError(
        f"{shown(thing)} cannot use these arguments, {error}{f': {note}' if note else ''}\n"
        f"  {shown(thing)}({_listed(parameters)})"
    )


def strict(function: Any) -> Any:
    """Leave out of a signature the parameters that only catch what is wrong."""
    found = inspect.signature(function)
    kept = [p for p in found.parameters.values() if p.name not in HIDDEN]
    function.__signature__ = found.replace(parameters=kept)
    return function


def wrong_call(thing: Any, given: tuple, options: dict[str, Any], function: Any = None) -> CallError:
    """What to say of a call with arguments that do not fit; ``function`` is the constructor of a class."""
    parameters = _parameters(function or thing)
    if isinstance(thing, type):
        given = given[1:]
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    catches = {p.kind for p in parameters}
    told = {p.name for p in by_place[: len(given)]} | options.keys()
    names, open_ended = [p.name for p in parameters], inspect.Parameter.VAR_KEYWORD
    return _error(
        thing,
        parameters,
        missing=[p.name for p in parameters if _required(p) and p.name not in told],
        unknown=[k for k in options if k not in names and (k in KEYWORDS or open_ended not in catches)],
        twice=[p.name for p in by_place[: len(given)] if p.name in options],
        many=len(given) if len(given) > len(by_place) and inspect.Parameter.VAR_POSITIONAL not in catches else None,
    )


_COMPLAINT = re.compile(
    r"(?P<name>[\w.]+)\(\) (?:missing \d+ required (?:positional|keyword-only) arguments?: (?P<missing>.*)"
    r"|got an unexpected keyword argument '(?P<unknown>\w+)'"
    r"|got multiple values for argument '(?P<twice>\w+)'"
    r"|takes (?:no|.*\d+) (?:positional )?arguments?(?: but (?P<many>\d+)|.*\((?P<more>\d+) given\))?.*)"
)


def retold(error: BaseException) -> CallError | None:
    """An error of Python's about the arguments of a function of tinyseq's in words that say what to type; else None."""
    if isinstance(error, TinyseqError) or not isinstance(error, UNTOLD):
        return None
    complaint = _complaint(error) if type(error) is TypeError else None
    if complaint:
        return complaint
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = len(frames)
    while ours and _library(frames[ours - 1]):
        ours -= 1
    if ours == len(frames):
        return None
    name = frames[ours].f_code.co_qualname
    if any(part.startswith("_") for part in name.split(".")):
        return CallError(f"an argument is of a kind that cannot be used here: {error}")
    thing = _named(name)
    return _unusable(thing, error) if thing else None


def users_level() -> int:
    """``stacklevel`` of a warning that belongs to the user's line; for the caller of this function."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and _library(frame):
        frame, level = frame.f_back, level + 1
    return level


def _complaint(error: TypeError) -> CallError | None:
    """Python's complaint about a number or name of arguments."""
    found = _COMPLAINT.fullmatch(str(error))
    thing = found and _named(found["name"])
    if not found or not thing:
        return None
    many = found["many"] or found["more"]
    method = "." in found["name"]
    return _error(
        thing,
        _parameters(thing) if not isinstance(thing, type) else [],
        missing=re.findall(r"'(\w+)'", found["missing"] or ""),
        unknown=[found["unknown"]] if found["unknown"] else [],
        twice=[found["twice"]] if found["twice"] else [],
        many=int(many) - method if many else None,
    )


def _named(qualified: str) -> Any:
    """The function, class or method of tinyseq's with a name as tracebacks show it."""
    first, *rest = qualified.split(".")
    for name in sorted(name for name in sys.modules if name.split(".")[0] == "tinyseq"):
        thing = vars(sys.modules[name]).get(first)
        for part in rest:
            thing = getattr(thing, part, None)
        if callable(thing) and str(getattr(thing, "__module__", "")).split(".")[0] == "tinyseq":
            return thing
    return None


def _parameters(thing: Any) -> list[inspect.Parameter]:
    found = list(inspect.signature(thing).parameters.values())
    bound = bool(found) and found[0].name in ("self", "cls")
    return [p for p in found[bound:] if p.name not in HIDDEN]


def _required(p: inspect.Parameter) -> bool:
    return p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)


def _error(
    thing: Any,
    parameters: list[inspect.Parameter],
    missing: list[str],
    unknown: list[str],
    twice: list[str],
    many: int | None,
) -> CallError:
    name, own = shown(thing), thing.__qualname__
    names = [p.name for p in parameters]
    wrong, advice = [], []
    if unknown:
        wrong.append(f"has no argument {', '.join(unknown)}")
        advice += [_instead(own, keyword, names) for keyword in unknown]
    if many is not None:
        most = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
        wrong.append(f"takes {most or 'no'} argument{'s' * (most != 1)} without a name, got {many}")
    if twice:
        wrong.append(f"got {', '.join(twice)} twice, by place and by name")
    if missing:
        wrong.append(f"needs {', '.join(missing)}")
        advice += [MISSING[key] for key in missing if key in MISSING]
    if own in CALLS and (not any(advice) or set(missing) - MISSING.keys()):
        advice.append(CALLS[own])
    said = "; ".join(dict.fromkeys(a for a in advice if a))
    text = f"{name} {' and '.join(wrong) or 'is called otherwise'}{': ' + said if said else ''}"
    return CallError(f"{text}\n  {name}({_listed(parameters)})" if parameters else text)


def _instead(own: str, keyword: str, names: list[str]) -> str:
    """What to type for a keyword that there is not."""
    known = KEYWORDS.get(f"{own}.{keyword}")
    if known:
        return known
    for other in SYNONYMS.get(keyword, ()):
        if other in names:
            return f"write {other}= for {keyword}="
    close = get_close_matches(keyword, names, 1, 0.7)
    return f"write {close[0]}= for {keyword}=" if close else KEYWORDS.get(keyword, "")


def shown(thing: Any) -> str:
    """The name of a class or function as a user writes it: ts.sum, nn.LSTM, train.Adam."""
    package = [*str(thing.__module__).split("."), ""][:2]
    if package[0] != "tinyseq":
        return str(thing.__qualname__)
    within = package[1] if package[1] in ("nn", "train", "tasks", "diagnose", "viz") else "ts"
    return f"{within}.{thing.__qualname__}"


def _listed(parameters: list[inspect.Parameter]) -> str:
    """Parameters with their defaults, without types."""
    plain = []
    for p in parameters:
        default = p.default
        if default is not p.empty and (isinstance(default, type) or type(default) is object):
            default = _Word(getattr(default, "__name__", "…"))
        plain.append(p.replace(annotation=p.empty, default=default))
    return str(inspect.Signature(plain))[1:-1]


class _Word(str):
    """Text that shows without quotes."""

    def __repr__(self) -> str:
        return str(self)
