"""``check_op``: every op is right, and records that are wrong in one thing are told by what is wrong."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.diagnose import check_op
from tinyseq.errors import OpError
from tinyseq.jit import kernel
from tinyseq.ops import OPS, Kernel, Op, call, register
from tinyseq.ops.elementwise import elementwise
from tinyseq.ops.op import ALL, EACH, Call, Site

pytestmark = pytest.mark.usefixtures("forgotten")

NUMBERS = {"affine": (("k", 1.5), ("c", 0.5))}  # attributes of ops whose record's example has none


@kernel
def _squares(d, y, x):
    for r in range(d[0]):
        for j in range(d[4]):
            y[r * d[1] + j] = x[r * d[2] + j] * x[r * d[2] + j]


@kernel
def _back(d, gx, g, x):
    for r in range(d[0]):
        for j in range(d[5]):
            v = 2 * g[r * d[2] + j] * x[r * d[3] + j]
            gx[r * d[1] + j] = v + (gx[r * d[1] + j] if d[4] else 0)


@kernel
def _back_half(d, gx, g, x):
    for r in range(d[0]):
        for j in range(d[5]):
            v = g[r * d[2] + j] * x[r * d[3] + j]
            gx[r * d[1] + j] = v + (gx[r * d[1] + j] if d[4] else 0)


@kernel
def _back_overwrites(d, gx, g, x):
    for r in range(d[0]):
        for j in range(d[5]):
            gx[r * d[1] + j] = 2 * g[r * d[2] + j] * x[r * d[3] + j]


@kernel
def _back_adds(d, gx, g, x):
    for r in range(d[0]):
        for j in range(d[5]):
            gx[r * d[1] + j] += 2 * g[r * d[2] + j] * x[r * d[3] + j]


@kernel
def _back_changes_g(d, gx, g, x):
    for r in range(d[0]):
        for j in range(d[5]):
            v = 2 * g[r * d[2] + j] * x[r * d[3] + j]
            g[r * d[2] + j] = 0
            gx[r * d[1] + j] = v + (gx[r * d[1] + j] if d[4] else 0)


@kernel
def _beyond(d, y, x):
    for r in range(d[0]):
        for j in range(d[4]):
            y[r * d[1] + j] = x[r * d[2] + j] * x[r * d[2] + j] + 0 * x[r * d[2] + j + 6]


@kernel
def _mixes(d, y, x):
    for r in range(d[0]):
        for j in range(d[4]):
            y[r * d[1] + j] = x[r * d[2] + j] * x[r * d[2] + j] + x[j]


numbers = itertools.count()


@pytest.fixture
def wrong() -> Callable[..., str]:
    """Registers squares of (2, 3) with fields changed, and tries them."""

    def build(
        *,
        forward: Any = _squares,
        back: Any = _back,
        rows: int = 2,
        size: int = 3,
        sizes: tuple[int, ...] | None = None,
        shape: Any = None,
        rule: int = EACH,
        **fields: Any,
    ) -> str:
        name = f"tried{next(numbers)}"
        y, gx = Kernel(name, forward, ("y", "x")), Kernel(f"{name}_back", back, ("gx", "g", "x"))

        def calls(site: Site) -> list[Call]:
            n = site.shape[-1]
            return [call(y, prod(site.shape[:-1]), {"y": n, "x0": n}, (n,))]

        def calls_back(site: Site) -> list[Call]:
            return [call(gx, rows, {"gx0": size, "g": size, "x0": size}, (size,) if sizes is None else sizes)]

        said: dict[str, Any] = {"vjp": {0: calls_back}, "reads": {0: ("x0",)}} | fields
        shaped = shape or (lambda attrs, shapes, dtypes: (shapes[0], dtypes[0]))
        register(
            Op(name, 1, "s", "y = x²", shaped, calls, example=((), ((2, 3),), (0,)), rows=lambda *_: (rule,), **said)
        )
        return str(check_op(name))

    return build


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if not op.leaf])
def test_every_op_is_right(name: str) -> None:
    inputs = (np.array([[0.3, 0.7], [0.9, 1.1]]),) if name in NUMBERS else ()
    report = check_op(name, *inputs, attrs=NUMBERS.get(name, ()))
    assert report and "is right on this example" in str(report), report


def test_what_was_tried_is_told(wrong: Any) -> None:
    text = wrong()
    assert "∂L/∂x0 against central differences" in text and "both executors" in text
    assert "no gradient passes to x0, as vjp has no rule" in wrong(vjp={}, reads={})


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "rows of a smaller result": ({"shape": lambda a, s, d: ((2,), d[0])}, "2 rows of stride 3 in 'g', which has 2 el"),
    "rows of a larger result": (
        {"shape": lambda a, s, d: ((*s[0], 2), d[0])},
        r"forward: kernel 'tried\d+' gets 6 rows of stride 2 in 'x0', which has 6 elements",
    ),
    "a column too many": ({"size": 4}, r"vjp\[0\]: kernel 'tried\d+_back' writes beyond 'gx0', of shape \(2, 3\)"),
    "a column too few": ({"size": 2}, r"2 of the 6 elements of 'gx0' are not written.* d = \[2, 2, 2, 2, 0, 2\]"),
    "a row too few": ({"rows": 1}, "3 of the 6 elements of 'gx0' are not written"),
    "a row too many": ({"rows": 3}, "3 rows of stride 3 in 'gx0', which has 6 elements"),
    "a size that is not given": ({"sizes": ()}, r"6 of the 6 elements of 'gx0' are not .* d = \[2, 3, 3, 3, 0\]"),
    "half the slope": ({"back": _back_half}, r"∂L/∂x0\[0, 0\] is .*, central differences say .*6 of 6 elements"),
    "a vjp that never adds": ({"back": _back_overwrites}, "accumulate 1 .* has to add to 'gx0', and does not"),
    "a vjp that always adds": ({"back": _back_adds}, "not written|accumulate 0 .* has to overwrite 'gx0'"),
    "a vjp that changes g": ({"back": _back_changes_g}, "changes 'g', which it should only read"),
    "a forward that reads beyond": ({"forward": _beyond}, "reads beyond its operands"),
    "float64 of float32": ({"shape": lambda a, s, d: (s[0], 1)}, "makes float64 of float32 inputs"),
    "integers of floats": ({"shape": lambda a, s, d: (s[0], 2)}, "integers, and no gradient passes through them"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_record_is_told_by_what_is_wrong(case: str, wrong: Any) -> None:
    fields, words = CASES[case]
    text = wrong(**fields)
    assert "wrong:" in text and re.search(words, text), text


def test_rows_that_depend_on_others_are_told(wrong: Any) -> None:
    text = wrong(forward=_mixes, vjp={}, reads={})
    assert "rows says EACH of x0, but row 1 of the result changes with row 0 of it: write ALL" in text
    assert "is right" in wrong(forward=_mixes, vjp={}, reads={}, rule=ALL)


def test_a_wrong_slope_of_one_line() -> None:
    elementwise("tried_cube", "x0 * x0 * x0", "g * x0 * x0", symbol="³", equation="y = a³")
    try:
        report = check_op("tried_cube", np.array([[1.0, -2.0]]))
        assert not report and "vjp[0]: ∂L/∂x0[0, 0]" in str(report)
    finally:
        del OPS["tried_cube"]


def test_what_cannot_be_tried_is_refused() -> None:
    for name, words in (
        ("nothing", "'nothing' is none"),
        ("parameter", "a leaf"),
        ("affine", r"attrs=\(\('.', 2.0\),\)"),
    ):
        with pytest.raises(OpError, match=words):
            ts.diagnose.check_op(name)
