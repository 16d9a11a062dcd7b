"""Elementary functions against NumPy in a wider format: dense grids, random bit patterns, special values."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from tinyseq.jit.decorators import kernel_from_source
from tinyseq.ops import elementary

UNARY = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus", "sqrt")
BOUND = {np.float32: 3e-7, np.float64: 1e-15}
WIDER = {np.float32: np.float64, np.float64: np.longdouble}
FLOATS = [
    np.float32,
    pytest.param(
        np.float64,
        marks=pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="long double is not wider here"),
    ),
]
inf, nan = np.inf, np.nan

ORACLE = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sqrt": np.sqrt,
    "power": np.power,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
}


def _loop(name):
    arguments = "a, b" if name == "power" else "a"
    values = ", ".join(f"{letter}[i]" for letter in arguments.split(", "))
    text = f"def {name}_loop({arguments}, out):\n    for i in range(out.size):\n        out[i] = f({values})\n"
    return kernel_from_source(f"{name}_loop", text, {"f": getattr(elementary, name)})


LOOPS = {name: _loop(name) for name in ORACLE}


def evaluate(name, *arguments):
    out = np.empty_like(arguments[0])
    LOOPS[name](*arguments, out)
    return out


def patterns(real, seed, count=200_000):
    """Random bits: every exponent alike, subnormals, infinities and NaNs among them."""
    integer = np.uint32 if real is np.float32 else np.uint64
    bits = np.random.default_rng(seed).integers(0, np.iinfo(integer).max, count, integer, endpoint=True)
    return bits.view(real)


def arguments_of(name, real):
    grids = [patterns(real, 1), np.linspace(-20, 20, 100_001), np.linspace(-1, 1, 100_001)]
    grids += [np.linspace(-800, 800, 200_001), 1 + np.linspace(-1e-3, 1e-3, 20_001)]
    grids += [sign * np.geomspace(np.finfo(real).smallest_subnormal, 1, 50_000) for sign in (1, -1)]
    return np.concatenate([grid.astype(real) for grid in grids])


def worst_error(name, got, wanted, real):
    """Largest relative error of normal results; what is infinite, NaN or subnormal is asserted here."""
    limits = np.finfo(real)
    largest, smallest = limits.max.astype(wanted.dtype), limits.smallest_normal.astype(wanted.dtype)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    over = np.abs(wanted) > largest * (1 + wanted.dtype.type(limits.epsneg) / 2)
    assert np.array_equal(got[over].astype(wanted.dtype), np.copysign(inf, wanted[over]))
    under = np.abs(wanted) < smallest
    # Sigmoid divides by e**-x, so what is below 1/max becomes 0.
    slack = smallest / 4 if name == "sigmoid" else limits.smallest_subnormal.astype(wanted.dtype)
    assert np.all(np.abs(got[under] - wanted[under]) <= 1.01 * slack)
    normal = ~(over | under | np.isnan(wanted)) & np.isfinite(got)
    assert np.all(np.isfinite(got) | over | np.isnan(wanted) | (np.abs(wanted) >= largest * (1 - BOUND[real])))
    return np.max(np.abs((got[normal] - wanted[normal]) / wanted[normal]))


@pytest.mark.parametrize("real", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_relative_error_over_the_whole_range(name, real):
    x = arguments_of(name, real)
    with np.errstate(all="ignore"):
        wanted = ORACLE[name](x.astype(WIDER[real]))
        error = worst_error(name, evaluate(name, x), wanted, real)
    assert error <= BOUND[real], f"{name} {real.__name__}: {error:.2e}"


@pytest.mark.parametrize("real", FLOATS)
def test_power_over_the_whole_range(real):
    rng = np.random.default_rng(2)
    bases = [patterns(real, 3), np.exp(rng.uniform(-5, 5, 100_000)), rng.uniform(-9, 9, 100_000)]
    exponents = [patterns(real, 4), rng.uniform(-20, 20, 100_000), rng.integers(-9, 9, 100_000)]
    a, b = (np.concatenate([part.astype(real) for part in parts]) for parts in (bases, exponents))
    with np.errstate(all="ignore"):
        wanted = np.power(a.astype(WIDER[real]), b.astype(WIDER[real]))
        error = worst_error("power", evaluate("power", a, b), wanted, real)
    assert error <= BOUND[real], f"power {real.__name__}: {error:.2e}"


SPECIAL = {
    "exp": [(0, 1), (-0.0, 1), (inf, inf), (-inf, 0), (1e4, inf), (-1e4, 0)],
    "expm1": [(0, 0), (-0.0, -0.0), (inf, inf), (-inf, -1), (1e4, inf), (-1e4, -1)],
    "log": [(1, 0), (0, -inf), (-0.0, -inf), (-1, nan), (-1e-40, nan), (-inf, nan), (inf, inf)],
    "log1p": [(0, 0), (-0.0, -0.0), (-1, -inf), (-1.5, nan), (-inf, nan), (inf, inf)],
    "tanh": [(0, 0), (-0.0, -0.0), (inf, 1), (-inf, -1), (1e4, 1), (-1e4, -1)],
    "sigmoid": [(0, 0.5), (-0.0, 0.5), (inf, 1), (-inf, 0), (1e4, 1), (-1e4, 0)],
    "softplus": [(inf, inf), (-inf, 0), (1e4, 1e4), (-1e4, 0)],
    "sqrt": [(0, 0), (-0.0, -0.0), (4, 2), (-1, nan), (inf, inf), (-inf, nan)],
}


def assert_same(got, wanted):
    """Equal, NaN where NaN is wanted, and zeros of the same sign."""
    np.testing.assert_array_equal(got, wanted)
    zero = wanted == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(wanted[zero]))


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("name", UNARY)
def test_special_values(name, real):
    x, wanted = np.array([*SPECIAL[name], (nan, nan), (-nan, nan)]).T.astype(real)
    # Long enough for the vector loop and its tail: they are different code.
    assert_same(evaluate(name, np.tile(x, 21)), np.tile(wanted, 21))
    assert_same(np.array([evaluate(name, x[i : i + 1])[0] for i in range(x.size)]), wanted)


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_power_special_values_are_those_of_c(real):
    values = [0.0, -0.0, 0.5, -0.5, 1, -1, 2, -2, 3, -3, 1.5, -1.5, 1e5, 1e5 + 1, inf, -inf, nan]
    a, b = np.array([(x, y) for x in values for y in values]).T.astype(real)
    with np.errstate(all="ignore"):
        wanted = np.power(a.astype(np.float64), b.astype(np.float64)).astype(real)
    got = evaluate("power", a, b)
    np.testing.assert_allclose(got, wanted, rtol=BOUND[real])
    assert_same(got[wanted == 0], wanted[wanted == 0])
    assert evaluate("power", real([0]), real([0]))[0] == 1


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_tanh_is_odd_and_bounded(real):
    x = patterns(real, 5)
    x = x[~np.isnan(x)]
    y = evaluate("tanh", x)
    assert np.all(np.abs(y) <= 1)
    np.testing.assert_array_equal(evaluate("tanh", -x), -y)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="looks for registers of x86-64")
@pytest.mark.parametrize("name", UNARY)
def test_the_loop_becomes_vector_code(name):
    """A library call left in the loop, or scalar arithmetic, would cost ten times as much."""
    fresh = _loop(name)
    fresh._cache.disable()  # machine code from the disk comes without its assembly text
    fresh(np.ones(4, np.float32), np.ones(4, np.float32))
    assembly = next(iter(fresh.inspect_asm().values()))
    assert "ymm" in assembly or "zmm" in assembly
    for library_function in ("expf", "logf", "tanhf", "log1pf", "expm1f", "powf"):
        assert library_function not in assembly


def test_an_integer_argument_is_an_error_that_says_what_to_do():
    loop = kernel_from_source("integer_exp", "def integer_exp(n):\n    return exp(n)\n", {"exp": elementary.exp})
    with pytest.raises(Exception, match="exp expects a float32 or a float64, not int64: convert it first"):
        loop(3)


def test_without_the_jit_the_same_names_evaluate_with_numpy():
    script = """
import numpy as np
from tinyseq.ops import elementary as maths
for real in (np.float32, np.float64):
    x = real(-0.75)
    for name in ("exp", "expm1", "log1p", "tanh", "sigmoid", "softplus"):
        y = getattr(maths, name)(x)
        assert type(y) is real, (name, type(y))
    assert np.isclose(maths.sigmoid(x), 1 / (1 + np.exp(0.75)))
    assert np.isclose(maths.softplus(x), np.log1p(np.exp(-0.75)))
    assert maths.power(real(2), real(3)) == 8 and maths.sqrt(real(4)) == 2 and maths.log(real(0)) == -np.inf
    assert maths.sigmoid(real(-1e4)) == 0 and maths.softplus(real(1e4)) == 1e4
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, "-W", "error", "-c", script], env=environment, check=True)
