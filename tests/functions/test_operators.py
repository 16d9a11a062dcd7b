"""Python's operators and NumPy's functions on tensors and parameters: elementwise where NumPy is, else an error of
tinyseq's that says what to write. Nothing is answered by identity, or with a bare TypeError."""

from __future__ import annotations

import copy
import math
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import DtypeError, ShapeError, TapeError, TinyseqError
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")

A = np.array([[0.0, 1.0, -2.0], [0.5, 3.0, 2.0]])
B = np.array([[0.0, -1.0, 4.0], [0.5, 2.0, 2.0]])
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
PLAIN = [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.power]
PLAIN += [np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal]


def operands(a: np.ndarray, b: Any) -> list[tuple[Any, Any]]:
    """Every pair of a handle with a handle, an array or a number, on either side."""
    array = isinstance(b, np.ndarray)
    pairs = [(ts.tensor(a), b), (b, ts.tensor(a)), (ts.Parameter(a), b), (b, ts.Parameter(a))]
    if array:
        pairs += [(ts.tensor(a), ts.tensor(b)), (ts.tensor(a), ts.Parameter(b)), (ts.Parameter(b), ts.tensor(a))]
    return pairs


def plain(x: Any) -> Any:
    return x.value if isinstance(x, (ts.Tensor, ts.Parameter)) else x


@pytest.mark.parametrize("op", [*COMPARISONS, *ARITHMETIC, *PLAIN], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "b", [B, B[0], 0.5, 2, np.float64(0.5), np.array(2.0)], ids=lambda b: f"{type(b).__name__}{np.shape(b)}"
)
def test_elementwise_where_numpy_is(op: Callable[..., Any], b: Any) -> None:
    base = np.abs(A) + 0.5 if op in (operator.pow, np.power, operator.truediv, np.divide) else A
    other = np.abs(b) + 0.5 if op in (operator.pow, np.power, operator.truediv, np.divide) else b
    for _ in range(2):  # the second time from what is known of the place
        with Tape():
            for left, right in operands(base, other):
                got = op(left, right)
                assert isinstance(got, ts.Tensor), (left, right)
                assert got.dtype == np.float64
                np.testing.assert_allclose(got.value, op(plain(left), plain(right)).astype(float), rtol=1e-12)


@pytest.mark.parametrize("function", [np.negative, np.abs, np.exp, np.log, np.sqrt, np.tanh, np.square, np.positive])
def test_numpys_functions_of_one_argument(function: Any) -> None:
    a = np.abs(A) + 0.5
    W = ts.Parameter(a)
    with Tape():
        for x in (ts.tensor(a), W):
            np.testing.assert_allclose(function(x).value, function(a), rtol=1e-12)
        ts.sum(function(W)).backward()
        slope = {np.exp: np.exp(a), np.log: 1 / a, np.sqrt: 0.5 / np.sqrt(a), np.tanh: 1 - np.tanh(a) ** 2}
        want = {np.negative: -np.ones_like(a), np.square: 2 * a, **slope}.get(function, np.ones_like(a))
        np.testing.assert_allclose(W.grad, want, rtol=1e-10)


def test_products_with_arrays_on_either_side() -> None:
    with Tape():
        x = ts.tensor(A)
        for W in (ts.tensor(B.T.copy()), ts.Parameter(B.T)):
            np.testing.assert_allclose((A @ W).value, A @ B.T)
            np.testing.assert_allclose((W @ A).value, B.T @ A)
            np.testing.assert_allclose(np.matmul(x, W).value, A @ B.T)
            np.testing.assert_allclose((A @ W.T.T).value, A @ B.T)


def test_a_comparison_is_a_mask_for_where_and_passes_no_gradient() -> None:
    W = ts.Parameter(np.array([0.0, 1.0, 0.0, -2.0]), "W")
    with Tape():
        got = ts.where(W == 0.0, W * 0.0 + 10.0, W * 3.0)
        ts.sum(got + (W != 1.0) + (W <= 0.0) * 2.0).backward()
    np.testing.assert_array_equal(got.value, [10.0, 3.0, 10.0, -6.0])
    np.testing.assert_array_equal(W.grad, [0.0, 3.0, 0.0, 3.0])
    with Tape():
        inside = (W > -1.0) * (W < 0.5)
        assert inside.value.tolist() == [1.0, 0.0, 1.0, 0.0]


def test_extreme_numbers_are_compared_as_they_are() -> None:
    a = np.array([np.inf, -np.inf, np.inf, 0.0, -0.0, np.nan, 1.0, 1e-320])
    b = np.array([np.inf, -np.inf, -np.inf, -0.0, 0.0, 1.0, np.nan, 0.0])
    nan = np.isnan(a) | np.isnan(b)
    with Tape():
        for op in COMPARISONS:
            got = op(ts.tensor(a), ts.tensor(b)).value
            assert np.isnan(got[nan]).all(), op  # as everywhere, NaN is handed on
            np.testing.assert_array_equal(got[~nan], op(a, b).astype(float)[~nan])


def test_in_a_compiled_function_and_in_an_unfolded_step() -> None:
    def step(x: Any, h: Any) -> Any:
        h = ts.where(x == 0.0, h, 0.5 * h + np.tanh(x)) * (h >= -1.0)
        return h, np.add(h, (x != 0.0))

    x, h0 = np.array([[0.0, 1.0], [2.0, 0.0], [0.0, -3.0]]), np.array([0.3, -0.4])
    want, h = [], h0
    for row in x:
        h = np.where(row == 0, h, 0.5 * h + np.tanh(row)) * (h >= -1)
        want.append(h + (row != 0))
    fast = ts.compile(lambda x, h: ts.unfold(step, ts.Chain(3), x, h).outputs)
    np.testing.assert_allclose(fast(x, h0), want, rtol=1e-12)
    with Tape():
        np.testing.assert_allclose(ts.unfold(step, ts.Chain(3), x, h0).outputs.value, want, rtol=1e-12)


def test_handles_are_keys_by_what_they_are() -> None:
    p, q = ts.Parameter(np.ones(2), "p"), ts.Parameter(np.ones(2), "q")
    with Tape():
        x, y = ts.tensor(np.ones(2)), ts.tensor(np.ones(2))
        table = {p: 1, q: 2, x: 3, y: 4}
        assert [table[k] for k in (p, q, x, y)] == [1, 2, 3, 4]
        assert len({p, q, x, y, p, x}) == 4 and x in {x} and p in {p: 0} and q not in {p: 0}
        assert p in [p, q]  # found by identity before anything is compared
        with pytest.raises(TinyseqError, match="looked for in a list by `is`"):
            q in [p, q]  # noqa: B015
        with pytest.raises(TinyseqError, match="truth value"):
            [p, q].index(q)
    assert not copy.deepcopy({p: 1}).keys() & {p}


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "bool": (bool, r"ts\.where\(mask, a, b\)"),
    "if a comparison": (lambda x: 1 if x > 0 else 2, "truth value"),
    "not": (lambda x: not x, "truth value"),
    "and": (lambda x: (x > 0) and (x < 1), "truth value"),
    "chain": (lambda x: 0 < x < 1, r"0 < x < 1 is \(x > 0\) \* \(x < 1\)"),
    "max of two": (lambda x: max(x, 0.0), "truth value"),
    "sorted": (lambda x: sorted([x, x]), "truth value"),
    "in": (lambda x: 1.0 in x, r"item in x\.value"),
    "== None": (lambda x: x == None, "write `x is None`"),  # noqa: E711
    "!= None": (lambda x: x != None, "write `x is None`"),  # noqa: E711
    "== text": (lambda x: x == "a", "got str"),
    "== list": (lambda x: x == [0.0, 1.0], "got list"),
    "//": (lambda x: x // 2, r"np\.round\(x\.value\)"),
    "// of": (lambda x: 2 // x, "no operation on tensors"),
    "// of an array": (lambda x: np.ones(3) // x, r"np\.floor_divide is not recorded"),
    "%": (lambda x: x % 2, "no gradient"),
    "% of": (lambda x: 2 % x, "no gradient"),
    "divmod": (lambda x: divmod(x, 2), "divmod is no operation"),
    "round": (round, "round is no operation"),
    "round to": (lambda x: round(x, 2), "round is no operation"),
    "floor": (math.floor, "floor is no operation"),
    "ceil": (math.ceil, "ceil is no operation"),
    "trunc": (math.trunc, "trunc is no operation"),
    "pow with a modulus": (lambda x: pow(x, 2, 3), "modulus"),
    "&": (lambda x: (x > 0) & (x < 1), r"a & b is a \* b"),
    "|": (lambda x: (x > 0) | (x < 1), r"ts\.maximum\(a, b\)"),
    "^": (lambda x: x ^ 2, r"a power is x \*\* 2"),
    "~": (lambda x: ~x, "~a is 1 - a"),
    "& of an array": (lambda x: np.ones(3, bool) & x, "bitwise_and is not recorded"),
    "<<": (lambda x: x << 1, "shifted"),
    "float": (float, r"x\.value\.item\(\)"),
    "int": (int, r"x\.value\.item\(\)"),
    "complex": (complex, r"x\.value\.item\(\)"),
    "range": (lambda x: range(x), r"x\.value\.item\(\)"),
    "index of a list": (lambda x: [1, 2][x], r"x\.value\.item\(\)"),
    "iteration": (list, r"ts\.steps\(x\)"),
    "unpacking": (lambda x: (lambda a, b: a)(*x), r"ts\.steps\(x\)"),
    "sum of Python": (sum, r"ts\.steps\(x\)"),
    "np.asarray": (np.asarray, r"x\.value"),
    "np.array of a list": (lambda x: np.array([x, x]), r"x\.value"),
    "np.float64": (np.float64, r"x\.value"),
    "np.sin": (np.sin, r"np\.sin is not recorded: there is no such op; write np\.sin\(x\.value\)"),
    "np.sum": (np.sum, r"np\.sum is not recorded: write ts\.sum\(\.\.\.\)"),
    "np.mean": (np.mean, r"ts\.mean"),
    "np.concatenate": (lambda x: np.concatenate([x, x]), r"ts\.concatenate"),
    "np.stack": (lambda x: np.stack([x, x]), r"ts\.stack"),
    "np.where": (lambda x: np.where(x > 0, x, x), r"ts\.where"),
    "np.reshape": (lambda x: np.reshape(x, (-1,)), r"ts\.reshape"),
    "np.dot": (lambda x: np.dot(x, x), r"np\.dot\(x\.value\)"),
    "np.clip": (lambda x: np.clip(x, 0, 1), r"np\.clip\(x\.value\)"),
    "np.add.reduce": (np.add.reduce, r"np\.add\.reduce is not recorded"),
    "np.add with out": (lambda x: np.add(x, 1.0, out=np.zeros(3)), "in place"),
    "np.allclose": (lambda x: np.allclose(x, 0), r"x\.value"),
    "assert_array_equal": (lambda x: np.testing.assert_array_equal(x, x), r"x\.value"),
    "array += tensor": (lambda x: operator.iadd(np.zeros(3), x), r"write a = a \+ x"),
    "x[0] = 1": (lambda x: operator.setitem(x, 0, 1.0), r"ts\.where|W\.value\[i\] = x"),
    "del x[0]": (lambda x: operator.delitem(x, 0), "keeps its value"),
}  # fmt: skip


@pytest.mark.parametrize("use, words", REFUSED.values(), ids=REFUSED)
def test_the_rest_says_what_to_write(use: Callable[[Any], Any], words: str) -> None:
    with Tape():
        for x in (ts.tensor(np.array([0.5, -1.0, 2.0])), ts.Parameter(np.array([0.5, -1.0, 2.0]), "W")):
            with pytest.raises(TinyseqError, match=words):
                use(x)


@pytest.mark.parametrize("sign", ["+", "-", "*", "/", "@", "**", "//", "%"])
def test_a_parameter_is_not_replaced_by_a_tensor(sign: str) -> None:
    W = ts.Parameter(np.ones((2, 2)), "W")
    with Tape(), pytest.raises(TinyseqError, match=re.escape(f"W.value {sign}= x")):
        exec(f"W {sign}= 2.0", {"W": W})
    x0 = np.ones(2)
    with Tape():
        x = before = ts.tensor(x0)
        x += 1.0
        assert x is not before and x.value.tolist() == [2.0, 2.0] and before.value.tolist() == [1.0, 1.0]


def test_integers_and_shapes_are_compared_by_their_own_errors() -> None:
    with Tape():
        tokens = ts.tensor(np.array([0, 1, 2]))
        with pytest.raises(DtypeError, match=r"mask = \(tokens == 0\)"):
            tokens == 0  # noqa: B015
        with pytest.raises(DtypeError, match="float32 and float64"):
            ts.tensor(A) == A.astype(np.float32)  # noqa: B015
        with pytest.raises(ShapeError, match="do not broadcast"):
            ts.tensor(A) == np.ones(4)  # noqa: B015
    with pytest.raises(TapeError, match=r"with ts\.Tape\(\) as tape"):
        ts.Parameter(A) == 0.0  # noqa: B015


def test_length_and_shape_need_no_numbers() -> None:
    with Tape():
        for x in (ts.tensor(A), ts.Parameter(A)):
            assert (len(x), np.shape(x), np.ndim(x), np.size(x)) == (2, (2, 3), 2, 6)
            assert (+x).value.tolist() == A.tolist()
        with pytest.raises(ShapeError, match="no length"):
            len(ts.sum(ts.tensor(A)))


def test_printing() -> None:
    W = ts.Parameter(np.array([1.0, 2.0]), "W")
    with Tape():
        y = (W * 2.0).named("y")
        loss = ts.sum(y * y).named("L")
        assert str(y) == repr(y) == "Tensor(y, (2,), float64)"
        assert str(loss) == "Tensor(L, (), float64) = 20.0" and f"{loss:.3f}" == "20.000"
        loss.backward()
        y.value  # noqa: B018
        assert str(y) == "Tensor(y, (2,), float64) = [2. 4.]" and f"{y}" == str(y)
        shown: list[str] = []

        def step(x: Any, h: Any) -> Any:
            h = ts.sum(ts.tanh(x + h))
            shown.append(str(h))
            return h, h

        ts.unfold(step, ts.Chain(3), np.ones(3), np.array(0.0))
        assert shown and all(s.startswith("Tensor(sum, (), float64") and "=" not in s for s in shown)
        with pytest.raises(TinyseqError, match=r"x\.value"):
            f"{y:.3f}"
    assert repr(W) == "Parameter(W, (2,), float64)"
    assert repr(ts.Parameter(A, "R", trainable=False)) == "Parameter(R, (2, 3), float64, fixed)"


def test_the_lines_on_the_tape_are_the_callers() -> None:
    with Tape() as tape:
        x = ts.tensor(A)
        y = A + x
        z = np.tanh(y) == x
    lines = {node.line[0] for node in tape.nodes() if node.line[1]}
    assert lines == {__file__} and z.shape == A.shape


def test_nets_are_recorded_as_before() -> None:
    net = nn.RNN(5, 4, 5, rng=np.random.default_rng(0), dtype=np.float64)
    tokens = np.arange(6).reshape(3, 2) % 5
    report = ts.gradcheck(lambda: net.loss(tokens, tokens), *net.parameters())
    assert report
