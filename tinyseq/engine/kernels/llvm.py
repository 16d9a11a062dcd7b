"""Writing LLVM code inside Numba intrinsics: functions, loops, and what both need to know of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError

__all__ = ["INT", "checked_itemsize", "counted_loop", "define", "element_address", "element_type"]

INT = ir.IntType(64)


def element_type(itemsize: int) -> ir.Type:
    return ir.FloatType() if itemsize == 4 else ir.DoubleType()


def define(module: ir.Module, name: str, arguments: Sequence[ir.Type], emit: Callable[..., None]) -> ir.Function:
    """The function `name` of `module`; at its first use `emit(builder, *arguments)` writes its body.

    It isn't inlined, so many callers share one copy, also after linking (equal names hold equal bodies).
    """
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), name)
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit(builder, *function.args)
    builder.ret_void()
    return function


def counted_loop(
    builder: ir.IRBuilder,
    start: ir.Value,
    stop: ir.Value,
    step: ir.Value,
    carried: Sequence[ir.Value],
    body: Callable[[ir.Value, list[ir.Value]], Sequence[ir.Value]],
) -> tuple[ir.Value, list[ir.Value]]:
    """Emit `i = start; while i < stop: carried = body(i, carried); i += step`; return the last i, carried."""
    before = builder.block
    head = builder.append_basic_block("loop")
    inside = builder.append_basic_block("body")
    after = builder.append_basic_block("after")
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(INT)
    index.add_incoming(start, before)
    values = [builder.phi(value.type) for value in carried]
    for phi, value in zip(values, carried, strict=True):
        phi.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", index, stop), inside, after)
    builder.position_at_end(inside)
    results = body(index, values)
    index.add_incoming(builder.add(index, step), builder.block)
    for phi, value in zip(values, results, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return index, values


def checked_itemsize(name: str, arrays: tuple[types.Type, ...]) -> int:
    """Bytes of an element of `arrays`; TypingError unless they are contiguous arrays of one float dtype."""
    dtype = getattr(arrays[0], "dtype", None)
    if dtype not in (types.float32, types.float64):
        raise TypingError(f"{name} expects arrays of float32 or float64, got {arrays[0]}")
    for array in arrays:
        if not isinstance(array, types.Array) or array.layout != "C" or array.dtype != dtype:
            given = ", ".join(map(str, arrays))
            raise TypingError(f"{name} expects contiguous arrays of one dtype, got {given}")
    return dtype.bitwidth // 8


def element_address(
    context: Any, builder: ir.IRBuilder, array_type: types.Array, array: ir.Value, offset: ir.Value
) -> ir.Value:
    """The address of element `offset` of a Numba array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [offset])
