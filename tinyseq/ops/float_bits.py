"""Operations on the bits of a float32 or float64, for kernels; none of them exists outside a kernel.

Written as LLVM instructions because integer arithmetic in a Numba function widens to 64 bits, which halves
the lanes of a float32 loop. Biased exponents and the offset below are those of IEEE 754.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic


class _Layout(NamedTuple):
    integer: ir.IntType
    digits: int
    bias: int
    magic_float: float  # 1.5 * 2**digits
    magic_bits: int
    sqrt_half_bits: int


_LAYOUTS = {
    types.float32: _Layout(
        ir.IntType(32),
        23,
        127,
        1.5 * 2.0**23,
        struct.unpack("<i", struct.pack("<f", 1.5 * 2.0**23))[0],
        struct.unpack("<i", struct.pack("<f", 0.5**0.5))[0],
    ),
    types.float64: _Layout(
        ir.IntType(64),
        52,
        1023,
        1.5 * 2.0**52,
        struct.unpack("<q", struct.pack("<d", 1.5 * 2.0**52))[0],
        struct.unpack("<q", struct.pack("<d", 0.5**0.5))[0],
    ),
}


def _layout(x: Any) -> _Layout:
    if x not in _LAYOUTS:
        raise TypingError(f"expected a float32 or a float64, not {x}")
    return _LAYOUTS[x]


def _unary(name: str) -> Any:
    """The LLVM intrinsic `name`, one vector instruction on every target that has vectors."""

    def define(typing_context: Any, x: Any) -> Any:
        _layout(x)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            callee = builder.module.declare_intrinsic(name, [arguments[0].type])
            return builder.call(callee, arguments)

        return x(x), generate

    return intrinsic(define)


absolute = _unary("llvm.fabs")
floor = _unary("llvm.floor")
square_root = _unary("llvm.sqrt")


def _binary(name: str) -> Any:
    """The LLVM intrinsic `name` of two floats."""

    def define(typing_context: Any, x: Any, y: Any) -> Any:
        _layout(x)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            real = arguments[0].type
            callee = builder.module.declare_intrinsic(name, [real], ir.FunctionType(real, [real, real]))
            return builder.call(callee, arguments)

        return x(x, x), generate

    return intrinsic(define)


copy_sign = _binary("llvm.copysign")  # |x| with the sign bit of y


@intrinsic
def rank(typing_context: Any, x: Any) -> Any:
    """An integer of the float's width that is larger for a larger float, and largest for NaN.

    A loop that looks for the largest integer becomes vector code; of floats, which may be NaN, it does not.
    """
    layout = _layout(x)
    width = layout.integer.width

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = builder.bitcast(arguments[0], layout.integer)
        sign = builder.ashr(given, layout.integer(width - 1))
        ordered = builder.xor(given, builder.and_(sign, layout.integer((1 << (width - 1)) - 1)))
        nan = builder.fcmp_unordered("uno", arguments[0], arguments[0])
        return builder.select(nan, layout.integer((1 << (width - 1)) - 1), ordered)

    return getattr(types, f"int{width}")(x), generate


@intrinsic
def of_rank(typing_context: Any, number: Any) -> Any:
    """The float whose `rank` this is."""
    real: Any = types.float32 if number == types.int32 else types.float64
    layout = _layout(real)
    width = layout.integer.width

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sign = builder.ashr(arguments[0], layout.integer(width - 1))
        given = builder.xor(arguments[0], builder.and_(sign, layout.integer((1 << (width - 1)) - 1)))
        return builder.bitcast(given, context.get_value_type(real))

    return real(number), generate


def _power(builder: Any, layout: _Layout, exponent: Any, real: Any) -> Any:
    biased = builder.shl(exponent, layout.integer(layout.digits))
    return builder.bitcast(builder.add(biased, layout.integer(layout.bias << layout.digits)), real)


@intrinsic
def half_power_of_two(typing_context: Any, shifted: Any) -> Any:
    """2**(n - 1) for shifted = n + 1.5 * 2**digits; 0 for the n whose result is below the normal numbers."""
    layout = _layout(shifted)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        n = builder.sub(builder.bitcast(arguments[0], layout.integer), layout.integer(1))
        return _power(builder, layout, n, arguments[0].type)

    return shifted(shifted), generate


@intrinsic
def power_of_two_halves(typing_context: Any, shifted: Any) -> Any:
    """Two powers of two whose product is 2**n, for shifted = n + 1.5 * 2**digits; each is a normal number."""
    layout = _layout(shifted)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        real = arguments[0].type
        n = builder.sub(builder.bitcast(arguments[0], layout.integer), layout.integer(layout.magic_bits))
        first = builder.ashr(n, layout.integer(1))
        halves = [_power(builder, layout, k, real) for k in (first, builder.sub(n, first))]
        return context.make_tuple(builder, signature.return_type, halves)

    return types.UniTuple(shifted, 2)(shifted), generate


@intrinsic
def split(typing_context: Any, x: Any) -> Any:
    """(m, e, 2**(1 - e)) with x = m 2**e and sqrt(1/2) <= m < sqrt(2), for a normal positive x."""
    layout = _layout(x)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        real, integer = arguments[0].type, layout.integer
        offset = integer(layout.sqrt_half_bits)
        relative = builder.sub(builder.bitcast(arguments[0], integer), offset)
        e = builder.ashr(relative, integer(layout.digits))
        fraction = builder.and_(relative, integer((1 << layout.digits) - 1))
        m = builder.bitcast(builder.add(fraction, offset), real)
        # AVX2 has no conversion from 64-bit integers; through the low bits of a float it is an addition.
        shifted = builder.bitcast(builder.add(e, integer(layout.magic_bits)), real)
        e_real = builder.fsub(shifted, real(layout.magic_float))
        twice_inverse = _power(builder, layout, builder.sub(integer(1), e), real)
        return context.make_tuple(builder, signature.return_type, [m, e_real, twice_inverse])

    return types.UniTuple(x, 3)(x), generate
