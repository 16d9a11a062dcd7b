"""Constants and minimax coefficients of the two floating-point formats, for `tinyseq.ops.elementary`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tinyseq.jit.decorators import kernel_from_source


@dataclass(frozen=True, eq=False)
class Format:
    """One floating-point format; every number in it is a scalar of type `real`."""

    real: Any
    digits: int  # explicit bits of the significand
    magic: Any  # 1.5 * 2**digits: x + magic - magic rounds x to an integer
    log2e: Any
    ln2_hi: Any  # short enough that n * ln2_hi is exact for every exponent n
    ln2_lo: Any
    exp_low: Any  # e**x is 0 below, infinite above
    exp_high: Any
    normal_high: Any  # e**-x is a normal number up to here
    saturation: Any  # e**-x is lost beside 1 beyond here
    tiny: Any  # x is expm1(x), log1p(x) to the last bit below here
    smallest_normal: Any
    expm1_tail: tuple[float, ...]  # coefficients of (e**r - 1 - r) / r**2, |r| <= ln 2 / 2
    log_tail: tuple[float, ...]


@cache
def polynomial(real: Any, coefficients: tuple[float, ...]) -> Callable[..., Any]:
    """A kernel that evaluates sum_k c_k x**k by Horner's rule, each step one fused multiply-add."""
    expression = f"c{len(coefficients) - 1}"
    for k in reversed(range(len(coefficients) - 1)):
        expression = f"(c{k} + x * {expression})"
    namespace = {f"c{k}": real(c) for k, c in enumerate(coefficients)}
    source = f"def polynomial(x):\n    return {expression}\n"
    return kernel_from_source("polynomial", source, namespace, fastmath={"contract"}, forceinline=True)


FLOAT32 = Format(
    real=np.float32,
    digits=23,
    magic=np.float32(1.5 * 2.0**23),
    log2e=np.float32(1.4426950408889634),
    ln2_hi=np.float32(0.693359375),
    ln2_lo=np.float32(-2.1219444005469058e-4),
    exp_low=np.float32(-105),
    exp_high=np.float32(89),
    normal_high=np.float32(87),
    saturation=np.float32(20),
    tiny=np.float32(2.0**-30),
    smallest_normal=np.float32(2.0**-126),
    # Relative error of r + r**2 tail(r): 1.3e-8.
    expm1_tail=(
        0.49999998149669743915,
        0.16666543424359332396,
        0.041667200697934103338,
        0.0083665471283322770382,
        0.0013882517287017740793,
    ),
    # ln(1 + g) = g - g**2/2 + g**3 tail(g), sqrt(1/2) <= 1 + g <= sqrt(2), relative error 5.8e-9.
    log_tail=(
        0.33333331703392144862,
        -0.25000821199954404682,
        0.20001227492988398967,
        -0.16623351487067808474,
        0.14201737998359666527,
        -0.13160222509287191286,
        0.12761749867828209768,
        -0.07634610071454559416,
    ),
)

FLOAT64 = Format(
    real=np.float64,
    digits=52,
    magic=np.float64(1.5 * 2.0**52),
    log2e=np.float64(1.4426950408889634),
    ln2_hi=np.float64(6.93147180369123816490e-01),
    ln2_lo=np.float64(1.90821492927058770002e-10),
    exp_low=np.float64(-746),
    exp_high=np.float64(710),
    normal_high=np.float64(708),
    saturation=np.float64(42),
    tiny=np.float64(2.0**-60),
    smallest_normal=np.float64(2.0**-1022),
    # Relative error of r + r**2 tail(r): 1.8e-17.
    expm1_tail=(
        0.50000000000000052,
        0.16666666666666588966,
        0.041666666666576467456,
        0.008333333333389735813,
        0.001388888893166718655,
        0.00019841269718703172413,
        0.000024801505142652174424,
        2.7557407694604704085e-6,
        2.7626092837958125359e-7,
        2.5053772548703295996e-8,
    ),
    # 2 artanh(s) = s (2 + s**2 tail(s**2)), |s| <= 0.1716, relative error 1.2e-18.
    log_tail=(
        0.66666666666667349149,
        0.39999999999410948324,
        0.28571428743297812396,
        0.22222198472086116103,
        0.18183569956898316268,
        0.15313897343187297498,
        0.14797570113459561026,
    ),
)
