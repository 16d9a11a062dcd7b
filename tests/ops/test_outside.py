"""Ops that a user registers: they run on both executors, are drawn, stepped, gradchecked; wrong records are refused."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import viz
from tinyseq.errors import GradientError, OpError, TinyseqError
from tinyseq.functions.shapes import rows as some_rows
from tinyseq.functions.vjps import Passing, recorded
from tinyseq.jit.decorators import kernel
from tinyseq.ops import OPS, Kernel, Op, Site, call, register
from tinyseq.ops.elementwise import elementwise
from tinyseq.ops.op import ALL, EACH
from tinyseq.tensor.record import record


@kernel
def _forward(d, y, x):
    """y[r, j, i] = Σ_{k ≤ j} x[r, k, i]; d = [outer, strides, accumulate, length, inner]."""
    length, inner = d[4], d[5]
    for r in range(d[0]):
        for i in range(inner):
            total = y.dtype.type(0)
            for j in range(length):
                total += x[r * d[2] + j * inner + i]
                y[r * d[1] + j * inner + i] = total


@kernel
def _backward(d, gx, g):
    length, inner = d[4], d[5]
    for r in range(d[0]):
        for i in range(inner):
            total = g.dtype.type(0)
            for j in range(length - 1, -1, -1):
                total += g[r * d[2] + j * inner + i]
                at = r * d[1] + j * inner + i
                gx[at] = total + (gx[at] if d[3] else g.dtype.type(0))


@kernel
def _squares(d, y, x):
    """y[r] = Σ_j x[r, j]²; d = [rows, strides, accumulate, columns]."""
    for r in range(d[0]):
        total = y.dtype.type(0)
        for j in range(d[4]):
            total += x[r * d[2] + j] * x[r * d[2] + j]
        y[r * d[1]] = total


@kernel
def _squares_back(d, gx, g, x):
    for r in range(d[0]):
        for j in range(d[5]):
            at = r * d[1] + j
            gx[at] = (gx[at] if d[4] else g.dtype.type(0)) + g[r * d[2]] * (x[r * d[3] + j] + x[r * d[3] + j])


def running_sum(name: str, forward: str, backward: str) -> Op:
    """A running sum along an axis, its kernels called as told; nothing is registered yet."""
    run, back = Kernel(forward, _forward, ("y", "x")), Kernel(backward, _backward, ("gx", "g"))

    def calls(made: Kernel, out: str, given: str, site: Site) -> list:
        axis, shape = site.attr("axis"), site.shape
        outer, length, inner = int(np.prod(shape[:axis])), shape[axis], int(np.prod(shape[axis + 1 :]))
        return [call(made, outer, {out: length * inner, given: length * inner}, (length, inner))]

    return Op(
        name, 1, "Σ↓", "y_i = Σ_{j ≤ i} a_j",
        lambda attrs, shapes, dtypes: (shapes[0], dtypes[0]),
        lambda site: calls(run, "y", "x0", site),
        {0: lambda site: calls(back, "gx0", "g", site)},
        rows=lambda attrs, tail: (EACH if dict(attrs)["axis"] else ALL,),
        example=((("axis", 1),), ((2, 3),), (0,)),
    )  # fmt: skip


def squares() -> Op:
    """The sum of the squares in each row."""
    run, back = Kernel("squares", _squares, ("y", "x")), Kernel("any_name", _squares_back, ("gx", "g", "x"))
    return Op(
        "squares", 1, "Σ²", "y = Σ a²",
        lambda attrs, shapes, dtypes: (shapes[0][:-1], dtypes[0]),
        lambda s: [call(run, int(np.prod(s.shape)), {"y": 1, "x0": s.shapes[0][-1]}, (s.shapes[0][-1],))],
        {0: lambda s: [call(back, int(np.prod(s.shape)), {"gx0": s.shapes[0][-1], "g": 1, "x0": s.shapes[0][-1]},
                            (s.shapes[0][-1],))]},
        {0: ("x0",)},
        rows=lambda attrs, tail: (EACH,),
    )  # fmt: skip


pytestmark = pytest.mark.usefixtures("forgotten")

NAMES = [("cumsum", "cumsum", "cumsum_vjp0"), ("cumsum2", "cumsum_rows", "back_of_cumsum"), ("cumsum3", "a_vjp1", "b")]


@pytest.fixture(params=NAMES, ids=lambda names: names[1])
def cumsum(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return partial(_cumsum, name=register(running_sum(*request.param)).name)


def _cumsum(x: Any, axis: int = 1, *, name: str) -> ts.Tensor:
    return record(name, (x,), (("axis", axis),))


def agrees(loss: Callable[..., Any], by_numpy: Callable[..., Any], w: ts.Parameter, *given: Any) -> None:
    """A loss of ``w``: reference and compiled, both by plan, equal NumPy and its central differences."""
    start, wanted = w.value.copy(), np.zeros(w.shape)
    for at in np.ndindex(*w.shape):
        step = np.zeros(w.shape)
        step[at] = 1e-5
        wanted[at] = (by_numpy(start + step, *given) - by_numpy(start - step, *given)) / 2e-5
    with ts.Tape(ts.Reference):
        slow = loss(*given)
        slow.backward()
        np.testing.assert_allclose(slow.value, by_numpy(start, *given), rtol=1e-12)
    np.testing.assert_allclose(w.grad, wanted, rtol=1e-6, atol=1e-8)
    run = ts.compile(loss)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a fallback would warn
        for _ in range(2):
            np.testing.assert_allclose(run.backward(*given), by_numpy(start, *given), rtol=1e-12)
            np.testing.assert_allclose(w.grad, wanted, rtol=1e-6, atol=1e-8)


def parameter(rng: np.random.Generator, *shape: int) -> ts.Parameter:
    return ts.Parameter(rng.normal(size=shape) / 2, "W")


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(1, 3), (4, 1), (5, 3)])
def test_a_running_sum_of_a_matrix(cumsum, axis, shape, rng) -> None:
    w, x = parameter(rng, *shape), rng.normal(size=shape)
    agrees(
        lambda x: ts.sum(ts.tanh(cumsum(w * x, axis)) * x),
        lambda w, x: (np.tanh(np.cumsum(w * x, axis)) * x).sum(),
        w,
        x,
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_a_running_sum_inside_a_recurrence(cumsum, axis, rng) -> None:
    w, xs = parameter(rng, 4, 4), rng.normal(size=(6, 3, 4))

    def loss(xs: Any) -> Any:
        h = ts.tensor(np.zeros((3, 4)))
        for t in range(6):
            h = ts.tanh(cumsum(xs[t] + h @ w, axis))
        return ts.sum(h * h)

    def by_numpy(w: np.ndarray, xs: np.ndarray) -> float:
        h = np.zeros((3, 4))
        for x in xs:
            h = np.tanh(np.cumsum(x + h @ w, axis))
        return (h * h).sum()

    agrees(loss, by_numpy, w, xs)


def test_a_running_sum_in_a_batch_that_shrinks(cumsum, rng) -> None:
    w, xs, batches = parameter(rng, 4, 4), rng.normal(size=(4, 3, 4)), (3, 3, 2, 1)

    def loss(xs: Any) -> Any:
        h, total = ts.tensor(np.zeros((3, 4))), []
        for t, rows in enumerate(batches):
            h = ts.tanh(cumsum(xs[t][:rows] + h[:rows] @ w))
            total.append(ts.sum(h * h))
        return total[0] + total[1] + total[2] + total[3]

    def by_numpy(w: np.ndarray, xs: np.ndarray) -> float:
        h, total = np.zeros((3, 4)), 0.0
        for x, rows in zip(xs, batches, strict=True):
            h = np.tanh(np.cumsum(x[:rows] + h[:rows] @ w, 1))
            total += (h * h).sum()
        return total

    agrees(loss, by_numpy, w, xs)


def test_a_running_sum_in_a_tree(cumsum, rng) -> None:
    w, leaves = parameter(rng, 4, 4), rng.normal(size=(4, 1, 4))

    def tree(merge: Callable[..., Any], xs: Any) -> Any:
        return merge(merge(xs[0], merge(xs[1], xs[2])), xs[3])

    agrees(
        lambda xs: ts.sum(tree(lambda a, b: ts.tanh(cumsum((a + b) @ w)), xs) ** 2.0),
        lambda w, xs: (tree(lambda a, b: np.tanh(np.cumsum((a + b) @ w, 1)), xs) ** 2).sum(),
        w,
        leaves,
    )


def test_an_elementwise_op_with_an_attribute(rng) -> None:
    """Leaky relu: its vjp reads the constant and the input, in the order that its kernel takes them."""
    elementwise("leaky_relu", "(x0 if x0 > zero else attr0 * x0)", "(g if x0 > zero else attr0 * g)",
                symbol="leaky", equation="y = a or k a", floats=("k",))  # fmt: skip
    w, xs = parameter(rng, 4, 4), rng.normal(size=(5, 3, 4))

    def loss(xs: Any) -> Any:
        h = ts.tensor(np.zeros((3, 4)))
        for t in range(5):
            h = record("leaky_relu", (xs[t] + h @ w,), (("k", 0.1),))
        return ts.sum(h * h)

    def by_numpy(w: np.ndarray, xs: np.ndarray) -> float:
        h = np.zeros((3, 4))
        for x in xs:
            a = x + h @ w
            h = np.where(a > 0, a, 0.1 * a)
        return (h * h).sum()

    agrees(loss, by_numpy, w, xs)


def test_an_elementwise_op_of_three_attributes_one_of_which_its_vjp_does_not_read(rng) -> None:
    elementwise("parabola", "attr0 * x0 * x0 + attr1 * x0 + attr2", "g * (two * attr0 * x0 + attr1)",
                symbol="p", equation="y = k a² + l a + m", floats=("k", "l", "m"))  # fmt: skip
    elementwise("shifted", "x0 + attr0", "g", symbol="+k", equation="y = a + k", floats=("k",))
    w, x = parameter(rng, 3, 4), rng.normal(size=(3, 4))
    flags = (("k", 0.5), ("l", -2.0), ("m", 3.0))
    agrees(
        lambda x: ts.sum(record("shifted", (record("parabola", (w * x,), flags),), (("k", 2.0),)) * x),
        lambda w, x: ((0.5 * (w * x) ** 2 - 2 * w * x + 3 + 2) * x).sum(),
        w,
        x,
    )


def test_a_reduction(rng) -> None:
    register(squares())
    w, xs = parameter(rng, 4, 4), rng.normal(size=(5, 3, 4))
    agrees(
        lambda xs: ts.sum(ts.tanh(record("squares", (xs[1] @ w,)))) + ts.sum(record("squares", (xs[2] @ w,))),
        lambda w, xs: np.tanh(((xs[1] @ w) ** 2).sum(1)).sum() + ((xs[2] @ w) ** 2).sum(),
        w,
        xs,
    )


@kernel
def _blend(d, y, a, b, table):
    """y[r] = a[r] b[r] + Σ_k table[k]; d = [rows, strides, accumulate, columns, rows of the table]."""
    for r in range(d[0]):
        for j in range(d[6]):
            total = a[r * d[2] + j] * b[r * d[3] + j]
            for k in range(d[7]):
                total += table[k * d[6] + j]
            y[r * d[1] + j] = total


@kernel
def _blend_back(d, gx, g, other):
    for r in range(d[0]):
        for j in range(d[5]):
            at = r * d[1] + j
            gx[at] = (gx[at] if d[4] else g.dtype.type(0)) + g[r * d[2] + j] * other[r * d[3] + j]


def blend() -> Op:
    """Rows of the first two inputs go together, the third is read whole."""
    run, back = Kernel("blend", _blend, ("y", "a", "b", "t")), Kernel("blend_back", _blend_back, ("gx", "g", "x"))

    def vjp(position: int) -> Callable[[Site], list]:
        roles = f"gx{position}", "g", f"x{1 - position}"
        return lambda s: [call(back, s.shape[0], dict.fromkeys(roles, s.shape[1]), (s.shape[1],))]

    return Op(
        "blend", 3, "⋈", "y = a b + Σ t",
        lambda attrs, shapes, dtypes: (shapes[0], dtypes[0]),
        lambda s: [call(run, s.shape[0], {"y": s.shape[1], "x0": s.shape[1], "x1": s.shape[1], "x2": 0},
                        (s.shape[1], s.shapes[2][0]))],
        {0: vjp(0), 1: vjp(1)},
        {0: ("x1",), 1: ("x0",)},
        rows=lambda attrs, tail: (EACH, EACH, ALL),
    )  # fmt: skip


def test_inputs_of_three_kinds_of_rows(rng) -> None:
    """The table of each step has other numbers of rows: only of the first two do rows go with the result's."""
    register(blend())
    w, xs, tables = parameter(rng, 4, 4), rng.normal(size=(5, 3, 4)), rng.normal(size=(5, 6, 4))

    def loss(xs: Any, tables: Any) -> Any:
        total = None
        for t in range(5):
            h = record("blend", (xs[t] @ w, xs[t] * 0.5, some_rows(tables[t], 0, 1 + t % 3)))
            part = ts.sum(ts.tanh(h) ** 2.0)
            total = part if total is None else total + part
        return total

    def by_numpy(w: np.ndarray, xs: np.ndarray, tables: np.ndarray) -> float:
        parts = [np.tanh((xs[t] @ w) * xs[t] * 0.5 + tables[t][: 1 + t % 3].sum(0)) ** 2 for t in range(5)]
        return float(np.sum(parts))

    agrees(loss, by_numpy, w, xs, tables)


def test_it_is_drawn_stepped_and_gradchecked(cumsum, rng, tmp_path) -> None:
    w = parameter(rng, 3, 3)
    with ts.Tape(ts.Reference) as tape:
        loss = ts.sum(ts.tanh(cumsum(ts.tensor(rng.normal(size=(2, 3))) @ w)))
    loss.backward()
    assert "Σ↓" in viz.draw(loss, detail="ops").svg
    tape.to_html(tmp_path / "page.html", loss=loss)
    assert "Σ↓" in (tmp_path / "page.html").read_text("utf-8")
    x = rng.normal(size=(2, 3))
    assert ts.gradcheck(lambda x: ts.sum(ts.tanh(cumsum(x @ w))), x, w)


def second_order(loss: Callable[..., Any], w: ts.Parameter, *given: Any) -> None:
    """Σ (∂loss/∂w)² by nodes: recorded gradients are the executor's; those of the penalty agree on both executors and
    with central differences."""

    def penalty(*given: Any) -> Any:
        at = w * 1.0
        return ts.sum(ts.gradients(loss(at, *given), [at])[0] ** 2)

    with ts.Tape() as tape:
        at = w * 1.0
        value = loss(at, *given)
        (recorded_gradient,) = ts.gradients(value, [at])
        tape.backward(value)
        np.testing.assert_allclose(recorded_gradient.value, at.grad, rtol=1e-12)
    with ts.Tape(ts.Reference):
        expected = penalty(*given)
        expected.backward()
        gradient = w.grad.copy()
    run = ts.compile(penalty)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(run.backward(*given), expected.value, rtol=1e-12)
    np.testing.assert_allclose(w.grad, gradient, rtol=1e-9)
    assert ts.gradcheck(penalty, *given, w)


def test_its_recorded_vjp_gives_second_derivatives(cumsum, rng) -> None:
    """∂L/∂x of a running sum is one from the end: all of g, less what came before."""

    @recorded(cumsum.keywords["name"])
    def back(at: Passing) -> ts.Tensor:
        axis = at.attrs["axis"]
        return at.g.sum(axis, keepdims=True) - cumsum(at.g, axis) + at.g

    w, xs = parameter(rng, 4, 4), rng.normal(size=(3, 2, 4))

    def loss(w: Any, xs: Any) -> Any:
        h = ts.tensor(np.zeros((2, 4)))
        for t in range(3):
            h = ts.tanh(cumsum(xs[t] + h @ w) + cumsum(h * 0.5, 0))
        return ts.sum(h * h)

    second_order(loss, w, xs)


def test_the_recorded_vjp_of_a_reduction_gives_second_derivatives(rng) -> None:
    register(squares())

    @recorded("squares")
    def back(at: Passing) -> ts.Tensor:
        (x,) = at.x
        return 2.0 * x * ts.expand(ts.reshape(at.g, (*at.g.shape, 1)), x.shape)

    w, x = parameter(rng, 4, 4), rng.normal(size=(3, 4))
    second_order(lambda w, x: ts.sum(ts.tanh(record("squares", (x @ w,)))), w, x)


def test_without_a_recorded_vjp_the_way_to_one_is_told(cumsum, rng) -> None:
    w = parameter(rng, 2, 2)
    with ts.Tape(), pytest.raises(GradientError, match="write its vjp as ops, below @recorded"):
        at = w * 1.0
        ts.gradients(ts.sum(cumsum(at)), [at])


GOOD = NAMES[1]


def test_a_name_that_is_taken_is_refused() -> None:
    register(running_sum(*GOOD))
    with pytest.raises(OpError, match="two kernels are called 'cumsum_rows': give this one another name"):
        running_sum(*GOOD)
    with pytest.raises(OpError, match="called by a Python name"):
        Kernel("my kernel", _forward, ("y", "x"))
    with pytest.raises(OpError, match="two ops are called 'tanh'"):
        register(running_sum("tanh", "k1", "k2"))
    assert issubclass(OpError, TinyseqError)


def _partial(op: Op) -> Op:
    return dataclasses.replace(op, forward=lambda s: [dataclasses.replace(op.forward(s)[0], partial=True)])


def _renamed(op: Op, *roles: str) -> Op:
    return dataclasses.replace(op, forward=lambda s: [dataclasses.replace(op.forward(s)[0], operands=roles)])


WRONG: dict[str, tuple[Callable[[Op], Op], str]] = {
    "name": (lambda op: dataclasses.replace(op, name="my op"), r"name 'my op' must be a Python name"),
    "shape": (lambda op: dataclasses.replace(op, shape=None), r"shape must be a function, got None"),
    **{
        f"{field}: {value!r}": (
            lambda op, field=field, value=value: dataclasses.replace(op, **{field: value}),
            f"{field} must be {wanted}.*got ",
        )
        for field, value, wanted in (
            ("arity", "1", "a number of inputs"),
            ("arity", True, "a number of inputs"),
            ("arity", -2, "a number of inputs"),
            ("vjp", [len], "a dict of rules by input"),
            ("vjp", {"x0": len}, "a dict of rules by input"),
            ("reads", {0: "x0"}, "a dict of roles by input"),
            ("reads", ("x0",), "a dict of roles by input"),
            ("rows", 3, "a function"),
            ("forward", "y = x", "a function"),
            ("limit", 7, "a function, or None"),
            ("floats", "axis", "a tuple of texts"),
            ("drawn", "product", "a tuple of texts"),
            ("symbol", None, "a text"),
            ("words", 3, "a text"),
            ("joins", 1, "True or False"),
            ("elementwise", len, r"Map\(forward, vjps\), or None"),
            ("saturates", "flat", "Saturation"),
            ("slopes", "g", "a tuple of a text or None"),
            ("partials", [None], "a tuple of a text or None"),
            ("work", 2, "a pair of numbers"),
            ("example", (2, 3), r"\(attributes, shapes, dtype codes\)"),
            ("example", ((("axis", -1),), ((2, 3),), ()), r"\(attributes, shapes, dtype codes\)"),
            ("example", (("axis", -1), ((2, 3),), (0,)), r"\(attributes, shapes, dtype codes\)"),
        )
    },
    "example of two": (
        lambda op: dataclasses.replace(op, example=(op.example[0], ((2, 3),) * 2, (0, 0))),
        "example has 2 shapes; the op has 1 inputs",
    ),
    "view": (lambda op: dataclasses.replace(op, view="diagonal"), r"view is one of '', 'same'.*got 'diagonal'"),
    "drawn": (lambda op: dataclasses.replace(op, drawn=("star",)), r"drawn holds some of 'product'.*got 'star'"),
    "leaf": (lambda op: dataclasses.replace(op, leaf="data"), r"arity is 1: leaf says"),
    "javascript": (lambda op: dataclasses.replace(op, javascript=" "), r"javascript is the text of an object"),
    "joins": (lambda op: dataclasses.replace(op, joins=True), r"arity -1 and joins=True"),
    "position": (
        lambda op: dataclasses.replace(op, vjp={1: op.vjp[0]}),
        r"vjp has a rule for input 1; its inputs",
    ),
    "reads a role": (lambda op: dataclasses.replace(op, reads={0: ("z",)}), r"reads\[0\] names 'z'; write 'y'"),
    "reads too much": (
        lambda op: dataclasses.replace(op, reads={0: ("x0",)}),
        r"besides g: write 0: \(\)",
    ),
    "slopes": (lambda op: dataclasses.replace(op, slopes=("g",)), r"slopes are of elementwise ops"),
    "partials": (lambda op: dataclasses.replace(op, partials=(None,)), r"partials\[0\] is None"),
    "example": (
        lambda op: dataclasses.replace(op, example=None),
        r"rows does not take the attributes \(\) .KeyError: 'axis'.; write example",
    ),
    "result": (
        lambda op: dataclasses.replace(op, shape=lambda *_: ((2, -3), 0)),
        r"the shape rule gives \(shape",
    ),
    "no calls": (lambda op: dataclasses.replace(op, forward=lambda site: None), r"forward gives a list like \[call"),
    "partial": (_partial, r"partial=True: it has to write all of y"),
    "written": (lambda op: _renamed(op, "x0", "y"), r"writes \('x0',\); the first role is 'y'"),
    "role": (lambda op: _renamed(op, "y", "x7"), r"kernel 'cumsum_rows' is given 'x7'; there are x0, attr"),
    "attr": (lambda op: _renamed(op, "y", "attr"), r"name the attributes in floats"),
    "operands": (lambda op: _renamed(op, "y"), r"takes \['y', 'x'\], the call gives \['y'\]"),
    "integers": (lambda op: dataclasses.replace(op, example=(op.example[0], ((2, 3),), (2,))), r"'x0' holds integers"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_record_is_refused_by_its_op_its_field_and_what_to_write(what: str) -> None:
    wrong, message = WRONG[what]
    op = wrong(running_sum(*GOOD))
    with pytest.raises(OpError, match=rf"(?s)op '(cumsum2|my op)': .*{message}"):
        register(op)
    assert op.name not in OPS


def test_reads_that_leave_out_what_a_vjp_reads_are_refused() -> None:
    with pytest.raises(OpError, match=r"op 'squares': reads\[0\] is \(\), .* reads x0 besides g: write 0: \('x0', \)"):
        register(dataclasses.replace(squares(), reads={}))


def test_every_op_says_what_its_kind_needs() -> None:
    for op in OPS.values():
        assert bool(op.leaf) == (op.arity == 0), op.name
        assert op.leaf or (op.words and op.partials), op.name
        assert not op.elementwise or (op.slopes and op.jacobian == "diagonal"), op.name
        assert not op.slopes or op.elementwise, op.name
        assert not op.keeps_integers or op.arranges, op.name
        assert op.javascript, op.name
    assert {n for n, op in OPS.items() if op.limit} == {"take", "gather", "one_hot", "cross_entropy"}
    assert OPS["sub"].passes_gradient_on == (0,) and OPS["add"].passes_gradient_on == (0, 1)


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(OpError, match="register takes a record"):
        register(running_sum)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expression", "gradients", "message"),
    [
        ("x0 + z", ("g",), "its expression, 'x0 \\+ z', reads 'z'; there are"),
        ("x0 * y", ("g",), "reads 'y'"),
        ("x0 * x1", ("g",), "reads 'x1'"),
        ("x0 * attr0", ("g",), "reads 'attr0'"),
        ("numpy.sin(x0)", ("g",), "reads 'numpy'"),
        ("x0", ("g * gx",), "its gradient of x0, 'g \\* gx', reads 'gx'"),
        ("x0 +", ("g",), "is no expression such as"),
        (None, ("g",), "is no expression such as"),
    ],
)
def test_an_elementwise_expression_that_reads_what_is_not_there_is_refused(expression, gradients, message) -> None:
    with pytest.raises(OpError, match=message):
        elementwise("mine", expression, *gradients, symbol="m", equation="y = m(x)")
    assert "mine" not in OPS
