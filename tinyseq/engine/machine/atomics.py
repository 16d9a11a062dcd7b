"""What threads of one run need of each other: numbers that all see alike, and a barrier."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinyseq.jit.decorators import kernel


@intrinsic
def fetch_add(typing_context, array, index, amount):  # type: ignore[no-untyped-def]
    """Add to an element what no other thread does meanwhile; returns what it was."""
    signature = types.int64(array, types.int64, types.int64)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [arguments[1]]), arguments[2], "seq_cst")

    return signature, generate


@intrinsic
def load(typing_context, array, index):  # type: ignore[no-untyped-def]
    """An element as it is now, and with it all that was written before it."""
    signature = types.int64(array, types.int64)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "acquire", 8)

    return signature, generate


@intrinsic
def pause(typing_context):  # type: ignore[no-untyped-def]
    """Let the operating system run another thread."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        function_type = ir.FunctionType(ir.IntType(32), [])
        function = builder.module.globals.get("sched_yield") or ir.Function(
            builder.module, function_type, "sched_yield"
        )
        builder.call(function, [])
        return context.get_dummy_value()

    return types.none(), generate


@kernel
def barrier(flags, thread, threads):
    """Wait until all threads of the run have come here. flags = [arrivals, ...], zero at the start of a run."""
    ticket = fetch_add(flags, 0, 1)
    goal = (ticket // threads + 1) * threads
    spins = 0
    while load(flags, 0) < goal:
        spins += 1
        if spins > 2000:
            pause()
