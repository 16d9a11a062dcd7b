"""Elementary functions as straight-line arithmetic, so that a loop that calls them becomes vector code.

Numba's wheels carry no vector maths library: `math.tanh` in a kernel is one library call per element. Call
these instead, in any kernel, on float32 or float64 scalars: `exp log expm1 log1p tanh sigmoid softplus sqrt
power`. NaN stays NaN, infinities give the limit, overflow gives infinity. Outside a kernel, or with
`NUMBA_DISABLE_JIT=1`, the same names evaluate with NumPy.

Method: Muller et al., *Handbook of Floating-Point Arithmetic*, 2nd ed., ch. 10: reduce the argument with a
two-part ln 2 (Cody and Waite), evaluate a minimax polynomial (Remez, fitted in 50 digits), scale by bits.
The compiler may contract a*b + c but not reassociate here: that would undo the reduction. The flags sit on
each instruction, so they hold when a kernel with looser ones inlines these functions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numba.core.errors import TypingError
from numba.extending import overload

from tinyseq.jit.decorators import FLAGS, kernel
from tinyseq.ops import float_bits
from tinyseq.ops.float_formats import FLOAT32, FLOAT64, Format, polynomial

__all__ = ["exp", "expm1", "log", "log1p", "power", "sigmoid", "softplus", "sqrt", "tanh"]

_FORMATS = {types.float32: FLOAT32, types.float64: FLOAT64}
_EXACT: Any = {**FLAGS, "fastmath": {"contract"}, "forceinline": True}


def _quietly(function: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate(*arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arguments)

    return evaluate


def exp(x: Any) -> Any:
    """e**x; down to subnormal results."""
    return _quietly(np.exp)(x)


def expm1(x: Any) -> Any:
    """e**x - 1, accurate near 0."""
    return _quietly(np.expm1)(x)


def log(x: Any) -> Any:
    """Natural logarithm; -inf at 0, NaN below."""
    return _quietly(np.log)(x)


def log1p(x: Any) -> Any:
    """ln(1 + x), accurate near 0; -inf at -1, NaN below."""
    return _quietly(np.log1p)(x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent, odd and never beyond ±1."""
    return _quietly(np.tanh)(x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e**-x); results below 1/max (about a quarter of the smallest normal number) are 0."""
    one = np.asarray(x).dtype.type(1)
    return _quietly(lambda: one / (one + np.exp(-x)))()


def softplus(x: Any) -> Any:
    """ln(1 + e**x) = max(x, 0) + ln(1 + e**-|x|): Dugas et al. (2001), without overflow."""
    zero = np.asarray(x).dtype.type(0)
    return _quietly(lambda: np.maximum(x, zero) + np.log1p(np.exp(-np.abs(x))))()


def sqrt(x: Any) -> Any:
    """Square root, correctly rounded; NaN below 0."""
    return _quietly(np.sqrt)(x)


def power(a: Any, b: Any) -> Any:
    """a**b as C's pow: a negative base takes integer exponents only (else NaN), anything**0 is 1."""
    return _quietly(np.power)(a, b)


@cache
def _make_expm1_parts(f: Format) -> Callable[..., Any]:
    """x -> (e**r - 1, n + magic) with x = n ln 2 + r, |r| <= ln 2 / 2."""
    log2e, magic, ln2_hi, ln2_lo, tail = f.log2e, f.magic, f.ln2_hi, f.ln2_lo, polynomial(f.real, f.expm1_tail)

    @kernel(**_EXACT)
    def expm1_parts(x):
        # Adding 1.5 * 2**digits leaves round(x / ln 2) in the low bits, ready for integer arithmetic.
        shifted = x * log2e + magic
        n = shifted - magic
        r = (x - n * ln2_hi) - n * ln2_lo
        return r + r * r * tail(r), shifted

    return expm1_parts


def _make_exp(f: Format) -> Callable[..., Any]:
    parts, one, low, high = _make_expm1_parts(f), f.real(1), f.exp_low, f.exp_high

    def implementation(x):
        x = high if x > high else x
        x = low if x < low else x
        p, shifted = parts(x)
        # Two factors: neither the largest nor the subnormal results have a single normal power of two.
        first, second = float_bits.power_of_two_halves(shifted)
        return ((one + p) * first) * second

    return implementation


def _make_expm1(f: Format) -> Callable[..., Any]:
    parts, half, two = _make_expm1_parts(f), f.real(0.5), f.real(2)
    low, high, tiny = -f.saturation, f.exp_high, f.tiny

    def implementation(x):
        y = high if x > high else x
        y = low if y < low else y
        p, shifted = parts(y)
        scale = float_bits.half_power_of_two(shifted)
        return x if float_bits.absolute(x) < tiny else two * (p * scale + (scale - half))

    return implementation


def _make_tanh(f: Format) -> Callable[..., Any]:
    parts, half, one, cap = _make_expm1_parts(f), f.real(0.5), f.real(1), f.saturation

    def implementation(x):
        # tanh|x| = (e**2|x| - 1) / (e**2|x| + 1), numerator and denominator halved.
        y = float_bits.absolute(x)
        y = y + y
        y = cap if y > cap else y
        p, shifted = parts(y)
        scale = float_bits.half_power_of_two(shifted)
        halved = p * scale + (scale - half)
        return float_bits.copy_sign(halved / (halved + one), x)

    return implementation


def _make_sigmoid(f: Format) -> Callable[..., Any]:
    parts, one, two, low, high = _make_expm1_parts(f), f.real(1), f.real(2), -f.normal_high, f.exp_high

    def implementation(x):
        y = -x
        y = high if y > high else y
        y = low if y < low else y
        p, shifted = parts(y)
        scale = float_bits.half_power_of_two(shifted)
        return one / (one + two * (p * scale + scale))

    return implementation


@cache
def _make_log_core(f: Format) -> Callable[..., Any]:
    """(g, e) -> ln(1 + g) + e ln 2, sqrt(1/2) <= 1 + g < sqrt(2)."""
    half, two, ln2_hi, ln2_lo, tail = f.real(0.5), f.real(2), f.ln2_hi, f.ln2_lo, polynomial(f.real, f.log_tail)

    @kernel(**_EXACT)
    def by_polynomial(g, e):
        square = g * g
        rest = square * g * tail(g) + e * ln2_lo
        return e * ln2_hi + (g + (rest - half * square))

    @kernel(**_EXACT)
    def by_quotient(g, e):
        # ln(1 + g) = 2 artanh(s), s = g / (2 + g): a division is cheaper than ten more terms.
        s = g / (two + g)
        z = s * s
        half_square = half * g * g
        rest = s * (half_square + z * tail(z)) + e * ln2_lo
        return e * ln2_hi - ((half_square - rest) - g)

    return by_polynomial if f is FLOAT32 else by_quotient


def _make_log(f: Format) -> Callable[..., Any]:
    core, zero, one, infinity, nan = _make_log_core(f), f.real(0), f.real(1), f.real(np.inf), f.real(np.nan)
    smallest, lift, lift_bits = f.smallest_normal, f.real(2.0**f.digits), f.real(f.digits)

    def implementation(x):
        subnormal = x < smallest
        m, e, _ = float_bits.split(x * lift if subnormal else x)
        y = core(m - one, e - (lift_bits if subnormal else zero))
        edge = -infinity if x == zero else (nan if x < zero else x)
        return y if x > zero and x < infinity else edge

    return implementation


@cache
def _make_log1p_core(f: Format) -> Callable[..., Any]:
    core, half, one = _make_log_core(f), f.real(0.5), f.real(1)

    @kernel(**_EXACT)
    def log1p_core(x):
        u = one + x
        m, e, twice_inverse = float_bits.split(u)
        # x - (u - 1) is what rounding u lost; scaled like m it goes back in.
        return core((m - one) + (x - (u - one)) * (half * twice_inverse), e)

    return log1p_core


def _make_log1p(f: Format) -> Callable[..., Any]:
    core, one, infinity, nan, tiny = _make_log1p_core(f), f.real(1), f.real(np.inf), f.real(np.nan), f.tiny

    def implementation(x):
        y = x if float_bits.absolute(x) < tiny else core(x)
        edge = -infinity if x == -one else (nan if x < -one else x)
        return y if x > -one and x < infinity else edge

    return implementation


def _make_softplus(f: Format) -> Callable[..., Any]:
    exponential, log1p_core, zero = kernel(**_EXACT)(_make_exp(f)), _make_log1p_core(f), f.real(0)

    def implementation(x):
        y = log1p_core(exponential(-float_bits.absolute(x)))
        return y + x if x > zero else y

    return implementation


def _make_sqrt(f: Format) -> Callable[..., Any]:
    return lambda x: float_bits.square_root(x)


def _offer(function: Callable[..., Any], make: Callable[[Format], Callable[..., Any]]) -> None:
    @overload(function, jit_options=_EXACT)
    def choose(x):
        if x not in _FORMATS:
            raise TypingError(f"{function.__name__} expects a float32 or a float64, not {x}: convert it first")
        return make(_FORMATS[x])


for _function, _make in (
    (exp, _make_exp),
    (expm1, _make_expm1),
    (log, _make_log),
    (log1p, _make_log1p),
    (tanh, _make_tanh),
    (sigmoid, _make_sigmoid),
    (softplus, _make_softplus),
    (sqrt, _make_sqrt),
):
    _offer(_function, _make)


def _power32(a, b):
    # ln a in float64 has 26 bits to spare, more than the largest product b ln a takes away.
    base, exponent = np.float64(a), np.float64(b)
    magnitude = exp(exponent * log(float_bits.absolute(base)))
    whole = float_bits.floor(exponent) == exponent
    odd = whole and float_bits.floor(0.5 * exponent) * 2.0 != exponent
    result = float_bits.copy_sign(magnitude, base) if odd else magnitude
    result = np.nan if base < 0.0 and not whole and base > -np.inf else result
    one = base == 1.0 or exponent == 0.0 or (base == -1.0 and float_bits.absolute(exponent) == np.inf)
    return np.float32(1.0 if one else result)


def _power64(a, b):
    return a**b


@overload(power, jit_options=_EXACT)
def _choose_power(a, b):
    if a != b or a not in _FORMATS:
        raise TypingError(f"power expects two float32 or two float64, not {a} and {b}: convert them first")
    return _power32 if a == types.float32 else _power64
