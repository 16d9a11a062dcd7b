"""Registering an op: its record is tried on an example, and refused where it contradicts itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tinyseq.errors import OpError
from tinyseq.ops.fields import wrong_fields
from tinyseq.ops.op import ALL, DRAWN, JACOBIANS, JOINED, KEPT, LEAVES, OPS, STACKED, VIEWS, Call, Kernel, Op, Site
from tinyseq.tape import DTYPES, INT64


def register(op: Op) -> Op:
    """Put an op into the table, from which it can be recorded, run, drawn and differentiated.

    Its kernels are not run, but made out for one example: ``op.example``, or floating-point inputs of shape (3, 3).
    Raises OpError, naming the field and what to write there, where the name is taken, the fields contradict each other,
    or calls read or write what their kernels, ``reads`` or ``floats`` say nothing of.
    """
    if not isinstance(op, Op):
        raise OpError(f"register takes a record, Op(name, arity, …), got {type(op).__name__}")
    if isinstance(op.name, str) and op.name in OPS:
        raise OpError(f"two ops are called {op.name!r}: give this one another name")
    for problem in _problems(op):
        raise OpError(f"op {op.name!r}: {problem}")
    OPS[op.name] = op
    return op


def _problems(op: Op) -> Iterator[str]:
    """What is wrong with a record, in the order in which a reader would mend it."""
    for found in (wrong_fields, _fields, _inputs, _words, _elementwise):
        yield from found(op)
    site, codes, problem = _example(op)
    if site is None:
        yield problem
        return
    yield from _rows(op, site)
    yield from _forward(op, site, codes)
    for position in sorted(op.vjp):
        yield from _backward(op, site, codes, position)


def _fields(op: Op) -> Iterator[str]:
    if not isinstance(op.name, str) or not op.name.isidentifier():
        yield f"name {op.name!r} must be a Python name, as in 'cumsum'"
    for field, known in (("view", ("", *VIEWS)), ("leaf", ("", *LEAVES)), ("jacobian", ("", *JACOBIANS))):
        if getattr(op, field) not in known:
            yield f"{field} is one of {', '.join(map(repr, known))}; got {getattr(op, field)!r}"
    if op.javascript is not None and not (isinstance(op.javascript, str) and op.javascript.strip()):
        yield f"javascript is the text of an object with forward and vjp, or None; got {op.javascript!r}"
    if unknown := [word for word in op.drawn if word not in DRAWN]:
        yield f"drawn holds some of {', '.join(map(repr, DRAWN))}; got {unknown[0]!r}"
    if bool(op.leaf) != (op.arity == 0):
        yield f"arity is {op.arity}: leaf says what stands on an op without inputs, and is '' for all others"
    if op.joins != (op.arity == -1):
        yield f"arity is {op.arity}: an op of any number of inputs has arity -1 and joins=True, any other neither"
    inputs, many = ("any number of inputs", True) if op.view in (JOINED, STACKED) else ("one input", False)
    if op.view and op.arity != (-1 if many else 1):
        yield f"view={op.view!r} is of an op of {inputs}"


def _inputs(op: Op) -> Iterator[str]:
    places = range(1 if op.joins else op.arity)
    for position, rule in op.vjp.items():
        if position not in places:
            yield f"vjp has a rule for input {position}; its inputs are {_listed(places)}"
        if not callable(rule):
            yield f"vjp[{position}] must be a function of a site, got {rule!r}"
    for position, roles in op.reads.items():
        if position not in op.vjp:
            yield f"reads says what the vjp of input {position} reads, but vjp has no rule for it: leave it out"
        for role in roles:
            if role != "y" and role not in [f"x{i}" for i in range(op.arity)]:
                yield f"reads[{position}] names {role!r}; write 'y' for the result, 'x0', 'x1' … for inputs"


def _words(op: Op) -> Iterator[str]:
    if op.partials and len(op.partials) not in (1, op.arity) and not op.joins:
        yield f"partials has {len(op.partials)} entries for {op.arity} inputs: write one for each, or None"
    for i, words in enumerate(op.partials if not op.joins else ()):
        if (words is None) == (i in op.vjp):
            yield f"partials[{i}] is {words!r}: it is None just where vjp has no rule for that input"


def _elementwise(op: Op) -> Iterator[str]:
    """An elementwise op's kernels are called by their order alone."""
    made = op.elementwise
    if made is None:
        if op.slopes:
            yield "slopes are of elementwise ops: leave them out, or say elementwise=Map(forward, vjps)"
        return
    inputs = [f"x{i}" for i in range(op.arity)]
    if len(made.vjps) != op.arity or (op.slopes and len(op.slopes) != op.arity):
        yield f"elementwise and slopes have one vjp for each of the {op.arity} inputs, None without a gradient"
        return
    kernels = [("forward", made.forward, ["y", *inputs])]
    for i, kernel in enumerate(made.vjps):
        if (kernel is None) != (i not in op.vjp) or (op.slopes and (op.slopes[i] is None) != (i not in op.vjp)):
            yield f"elementwise.vjps[{i}] (and slopes[{i}]) is None just where vjp has no rule for input {i}"
        elif kernel is not None:
            kernels.append((f"vjps[{i}]", kernel, [kernel.operands[0], "g", *op.reads.get(i, ())]))
    for place, kernel, wanted in kernels:
        found = list(kernel.operands)
        if found[: len(wanted)] != wanted or found[len(wanted) :] not in ([], ["attr"]):
            yield f"elementwise.{place}: kernel {kernel.name!r} takes {found}; it must take {wanted}, 'attr' last"


def _example(op: Op) -> tuple[Site | None, tuple[int, ...], str]:
    """(site, dtype codes, problem) of the inputs on which an op is tried."""
    count = 2 if op.arity < 0 else op.arity
    attrs, shapes, codes = op.example or ((), ((3, 3),) * count, (0,) * count)
    said = f"example {(attrs, shapes, codes)}" if op.example else f"inputs {shapes} without attributes"
    try:
        made = op.shape(attrs, shapes, codes)
        shape, code = tuple(made[0]), made[1]
    except Exception as error:
        return None, codes, (
            f"the shape rule does not take {said} ({type(error).__name__}: {error}); "
            "write example=(attributes, shapes, dtype codes) that the op takes"
        )  # fmt: skip
    if not all(isinstance(n, int) and n >= 0 for n in shape) or code not in range(len(DTYPES)):
        return None, codes, f"the shape rule gives (shape, dtype code) as in ((3, 3), 0); of {said} it gave {made!r}"
    return Site(attrs, 0, shapes, shape), codes, ""


def _rows(op: Op, site: Site) -> Iterator[str]:
    try:
        rules = op.rows(site.attrs, site.shape[1:])
    except Exception as error:
        yield f"rows does not take the attributes {site.attrs} ({type(error).__name__}: {error}); write example=…"
        return
    if not rules or any(rule not in range(ALL, KEPT + 1) for rule in rules):
        yield f"rows gives one of ALL, EACH, WIDER, KEPT for each input; got {rules!r}"
    if op.limit and not (site.shapes and isinstance(op.limit(site), int)):
        yield f"limit gives the number below which the last input's integers lie; got {op.limit(site)!r}"


def _forward(op: Op, site: Site, codes: tuple[int, ...]) -> Iterator[str]:
    inputs = {f"x{i}": code for i, code in enumerate(codes)}
    calls, problem = _made("forward", op.forward, site)
    yield from problem
    for one in calls:
        if one.operands[:1] != ("y",):
            yield f"forward: kernel {one.kernel.name!r} writes {one.operands[:1]}; the first role is 'y'"
        if one.partial:
            yield f"forward: kernel {one.kernel.name!r} is called with partial=True: it has to write all of y"
        yield from _operands(op, "forward", one, inputs, one.operands[1:])
    if op.elementwise and [one.kernel for one in calls] != [op.elementwise.forward]:
        yield f"forward of an elementwise op is one call of its kernel {op.elementwise.forward.name!r}"


def _backward(op: Op, site: Site, codes: tuple[int, ...], position: int) -> Iterator[str]:
    inputs = {f"x{i}": code for i, code in enumerate(codes)}
    calls, problem = _made(f"vjp[{position}]", op.vjp[position], site)
    yield from problem
    read: set[str] = set()
    for number, one in enumerate(calls):
        target = f"gx{number if op.joins else position}"
        if one.operands[:1] != (target,):
            yield f"vjp[{position}]: kernel {one.kernel.name!r} writes {one.operands[:1]}; the first role is {target!r}"
        yield from _operands(op, f"vjp[{position}]", one, {"g": 0, "y": 0, **inputs}, one.operands[1:])
        read |= set(one.operands[1:]) - {"g", "attr"}
    if read != set(op.reads.get(position, ())):
        wanted = "(" + "".join(f"{role!r}, " for role in sorted(read)) + ")"
        yield (
            f"reads[{position}] is {op.reads.get(position, ())}, but the vjp of input {position} reads "
            f"{_listed(sorted(read))} besides g: write {position}: {wanted}"
        )
    if op.elementwise and [one.kernel for one in calls] != [op.elementwise.vjps[position]]:
        yield f"vjp[{position}] of an elementwise op is one call of its kernel elementwise.vjps[{position}]"


def _made(field: str, rule: Callable[[Site], Any], site: Site) -> tuple[list[Call], list[str]]:
    """The calls that a rule makes; what is wrong where it makes none."""
    try:
        calls = rule(site)
    except Exception as error:
        return [], [f"{field} cannot be made for {site}: {type(error).__name__}: {error}"]
    if not isinstance(calls, list) or not all(isinstance(one, Call) for one in calls):
        return [], [f"{field} gives a list like [call(kernel, rows, {{'y': n, 'x0': n}}, (n,))]; got {calls!r}"]
    return calls, []


def _operands(op: Op, field: str, one: Call, known: dict[str, int], roles: tuple[str, ...]) -> Iterator[str]:
    kernel = one.kernel
    if not isinstance(kernel, Kernel) or Kernel.registry.get(kernel.name) is not kernel:
        yield f"{field}: {kernel!r} is no Kernel(name, function, operands)"
        return
    if len(one.operands) != len(kernel.operands):
        yield f"{field}: kernel {kernel.name!r} takes {list(kernel.operands)}, the call gives {list(one.operands)}"
    for role, operand in zip(roles, kernel.operands[1:], strict=False):
        if role == "attr" and not op.floats:
            yield f"{field}: kernel {kernel.name!r} reads constants ('attr'); name the attributes in floats=(…)"
        elif role != "attr" and role not in known:
            yield f"{field}: kernel {kernel.name!r} is given {role!r}; there are {_listed([*known, 'attr'])}"
        elif (known.get(role) == INT64) != (operand in kernel.integers):
            kind = "integers" if known.get(role) == INT64 else "no integers"
            yield (
                f"{field}: {role!r} holds {kind}; name the operands that hold integers in "
                f"Kernel({kernel.name!r}, …, integers=(…)), got {kernel.integers}"
            )


def _listed(names: Any) -> str:
    return ", ".join(map(str, names)) or "nothing"
