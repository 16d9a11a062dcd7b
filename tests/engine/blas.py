"""Matrix products by the BLAS that SciPy carries: an oracle for `tinyseq.engine.kernels.gemm` and its fallback.

Importing this module loads SciPy's BLAS and makes its addresses known to LLVM under fixed names, so a kernel
that calls `gemm` is cached on disk like any other. Import it where it is used: nothing else here needs SciPy.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic

from tinyseq.engine.kernels.llvm import checked_itemsize, element_address, element_type

__all__ = ["gemm"]

_ROUTINES = {4: "sgemm", 8: "dgemm"}
_C_INT = ir.IntType(32)
_CHAR = ir.IntType(8)

for _routine in _ROUTINES.values():
    llvm.add_symbol(f"tinyseq_{_routine}", get_cython_function_address("scipy.linalg.cython_blas", _routine))


@intrinsic
def gemm(  # type: ignore[no-untyped-def]
    typing_context, m, n, k, A, a_off, lda, trans_a, B, b_off, ldb, trans_b, C, c_off, ldc, beta
):
    """C = op(A) op(B) + beta C in row-major order, in kernels; op transposes where trans_a, trans_b is not 0.

    op(A) is m × k, op(B) k × n, C m × n; row i of the stored A starts at a_off + i lda (B, C alike), in
    elements of contiguous float32 or float64 arrays of one dtype. With beta = 0 C is overwritten. Sizes of 0 are
    allowed, leading dimensions must be at least the row lengths; sizes above 2³¹ - 1 are not possible.
    """
    itemsize = checked_itemsize("gemm", (A, B, C))
    i_ = types.intp
    signature = types.none(i_, i_, i_, A, i_, i_, i_, B, i_, i_, i_, C, i_, i_, types.float64)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        m, n, k, _, a_off, lda, trans_a, _, b_off, ldb, trans_b, _, c_off, ldc, beta = arguments
        a = element_address(context, builder, A, arguments[3], a_off)
        b = element_address(context, builder, B, arguments[7], b_off)
        c = element_address(context, builder, C, arguments[11], c_off)
        element = element_type(itemsize)

        def pointer_to(value: ir.Value) -> ir.Value:
            place = cgutils.alloca_once(builder, value.type)
            builder.store(value, place)
            return place

        def integer(value: ir.Value) -> ir.Value:
            return pointer_to(builder.trunc(value, _C_INT))

        def operation(transposed: ir.Value) -> ir.Value:
            yes = cgutils.is_true(builder, transposed)
            return pointer_to(builder.select(yes, _CHAR(ord("T")), _CHAR(ord("N"))))

        one = pointer_to(ir.Constant(element, 1.0))
        scale = pointer_to(builder.fptrunc(beta, element) if itemsize == 4 else beta)
        # BLAS counts by columns: there these arrays are the transposes, and Cᵀ = op(B)ᵀ op(A)ᵀ.
        operands = [operation(trans_b), operation(trans_a), integer(n), integer(m), integer(k), one]
        operands += [b, integer(ldb), a, integer(lda), scale, c, integer(ldc)]
        routine = _declared(builder.module, f"tinyseq_{_ROUTINES[itemsize]}", operands)
        with builder.if_then(builder.and_(cgutils.is_true(builder, m), cgutils.is_true(builder, n))):
            builder.call(routine, operands)
        return context.get_dummy_value()

    return signature, generate


def _declared(module: ir.Module, name: str, operands: list[Any]) -> ir.Function:
    function_type = ir.FunctionType(ir.VoidType(), [operand.type for operand in operands])
    return cgutils.get_or_insert_function(module, function_type, name)
