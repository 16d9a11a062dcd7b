"""The virtual machine: one Numba function that runs a program, an array of integers.

A program is a list of blocks; a block runs its instructions once for each of its levels (time steps, heights of a
tree, chunks of rows). An instruction is

    [kernel address, numbers that vary, length of the payload, flags,
     (slot, base, coefficient, place in the tables) for each number that varies,
     payload: offset of each operand in the arena, then the kernel's vector d]

Before a call the payload's varying slots are set to base + coefficient · table[place + level]. All operands lie in
one arena, addressed in elements; arrays of the user's are addressed from the same origin, so they need no copy.

A *part* is what a thread does in a run, as integers: addresses of its program, of the tables, of the arena, of the
integers, its number, how many threads there are, and the address of what they all see (`threads.barrier`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinyseq.engine.forks import Guard
from tinyseq.engine.machine.atomics import barrier
from tinyseq.jit.decorators import FASTMATH, inlined, kernel, kernel_from_source
from tinyseq.ops.op import Kernel

ENDLESS = 1 << 44
HEADER, VARYING = 4, 4
BLOCK_HEADER = 6
SINGLE, SYNC = 1, 2


def _pointer(element: Any, llvm: Any) -> Any:
    @intrinsic
    def view(typing_context, address, offset):  # type: ignore[no-untyped-def]
        array = types.Array(element, 1, "C")
        signature = array(types.int64, types.int64)

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            base = builder.inttoptr(arguments[0], llvm.as_pointer())
            made = context.make_array(array)(context, builder)
            intp = context.get_value_type(types.intp)
            size, item = intp(ENDLESS), intp(context.get_abi_sizeof(llvm))
            context.populate_array(
                made,
                data=builder.gep(base, [arguments[1]]),
                shape=[size],
                strides=[item],
                itemsize=item,
                meminfo=None,
            )
            return made._getvalue()

        return signature, generate

    return view


float32_view = _pointer(types.float32, ir.FloatType())
float64_view = _pointer(types.float64, ir.DoubleType())
int64_view = _pointer(types.int64, ir.IntType(64))


@intrinsic
def call_address(typing_context, address, payload, arena, integers):  # type: ignore[no-untyped-def]
    """Call a compiled kernel ``void(int64, int64, int64)`` by its address."""
    signature = types.none(types.int64, types.int64, types.int64, types.int64)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        function_type = context.call_conv.get_function_type(types.none, (types.int64,) * 3)
        function = builder.inttoptr(arguments[0], function_type.as_pointer())
        result = cgutils.alloca_once(builder, function_type.args[0].pointee)
        error = cgutils.alloca_once(builder, function_type.args[1].pointee)
        builder.call(function, [result, error, *arguments[1:]])
        return context.get_dummy_value()

    return signature, generate


_wrappers: dict[tuple[str, int], tuple[int, Any]] = {}
_guard = Guard()


def kernel_address(kernel_: Kernel, dtype: np.dtype) -> int:
    """Address of a kernel as an instruction calls it; compiled (or loaded from disk) when first asked for."""
    key = (kernel_.name, dtype.itemsize)
    found = _wrappers.get(key)
    if found is None:
        with _guard.lock:
            found = _wrappers.get(key) or _wrappers.setdefault(key, _compile(kernel_, dtype))
    return found[0]


def _compile(kernel_: Kernel, dtype: np.dtype) -> tuple[int, Any]:
    view = "float32_view" if dtype.itemsize == 4 else "float64_view"
    count = len(kernel_.operands)
    name = f"{kernel_.name}_vm{8 * dtype.itemsize}"
    arrays = [
        f"{'int64_view(integers' if operand in kernel_.integers else view + '(arena'}, p[{j}])"
        for j, operand in enumerate(kernel_.operands)
    ]
    source = (
        f"def {name}(payload, arena, integers):\n    p = int64_view(payload, 0)\n"
        f"    run(int64_view(payload, {count}), {', '.join(arrays)})\n"
    )
    namespace = {
        "float32_view": float32_view,
        "float64_view": float64_view,
        "int64_view": int64_view,
        "run": inlined(kernel_.function),
    }
    flags = getattr(kernel_.function, "targetoptions", {})
    dispatcher = kernel_from_source(name, source, namespace, fastmath=flags.get("fastmath", FASTMATH))
    dispatcher.compile((types.int64,) * 3)
    compiled = dispatcher.overloads[(types.int64,) * 3]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name), dispatcher


@inlined
@kernel
def run(part):
    """Run a thread's program from its first block to its last, given the address of its part."""
    numbers = int64_view(part, 0)
    base_address, end, arena, integers = numbers[0], numbers[1], numbers[3], numbers[4]
    thread, threads = numbers[5], numbers[6]
    program, tables, flags = int64_view(base_address, 0), int64_view(numbers[2], 0), int64_view(numbers[7], 0)
    at = 0
    while at < end:
        levels, backwards, length, table, single, sync = (
            program[at],
            program[at + 1],
            program[at + 2],
            program[at + 3],
            program[at + 4],
            program[at + 5],
        )
        first = at + BLOCK_HEADER
        at = first + length
        if not (single and thread != 0):
            for step in range(levels):
                level = levels - 1 - step if backwards else step
                place = first
                while place < at:
                    varying = program[place + 1]
                    payload = place + HEADER + VARYING * varying
                    for v in range(varying):
                        q = place + HEADER + VARYING * v
                        program[payload + program[q]] = (
                            program[q + 1] + program[q + 2] * tables[table + program[q + 3] + level]
                        )
                    call_address(program[place], base_address + 8 * payload, arena, integers)
                    place = payload + program[place + 2]
                if sync > 1 and threads > 1:
                    barrier(flags, thread, threads)
        elif sync > 1 and threads > 1:
            for _step in range(levels):
                barrier(flags, thread, threads)
        if sync and threads > 1:
            barrier(flags, thread, threads)
