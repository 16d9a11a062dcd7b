"""Arrays that hold no numbers, or none that a net can read: refused by the tree or sequence that holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyseq import Tree, data
from tinyseq.errors import DataError, DtypeError

GOOD = np.ones((2, 3), np.float32)
BAD: dict[str, tuple[Any, Any]] = {
    "complex": (GOOD.astype(complex), DtypeError),
    "text": (GOOD.astype(str), DtypeError),
    "objects": (GOOD.astype(object), DtypeError),
    "times": (GOOD.astype("datetime64[s]"), DtypeError),
    "NaN": (GOOD * np.nan, DataError),
    "infinite": (GOOD * np.inf, DataError),
    "too large for float32": (np.full((2, 3), 1e300), DataError),
    "a negative token": (np.array([3, -1]), DataError),
    "a token too large for int64": (np.array([3, 2**63], np.uint64), DataError),
}
TREE = Tree.from_parents([2, 2, -1])


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("what", ["trees", "sequences"])
def test_what_is_no_number_is_refused_by_its_place(kind: str, what: str) -> None:
    array, error = BAD[kind]
    good = np.zeros(2, np.int64) if array.ndim == 1 else GOOD
    with pytest.raises(error, match=rf"{'tree' if what == 'trees' else 'sequence'} 1 "):
        if what == "trees":
            data.Trees.of([TREE, TREE], [good, array])
        else:
            data.Sequences.of([good, array])


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4", np.longdouble])
def test_floats_of_any_kind_and_layout_are_read_alike(dtype: Any) -> None:
    wide = np.arange(24, dtype=dtype).reshape(4, 6)
    fixed = wide[::2, ::2].copy()
    fixed.flags.writeable = False
    for array in (wide[::2, ::2], np.asfortranarray(wide[::2, ::2]), fixed):
        for found in (data.Sequences.of([array]).x[0], data.Trees.of([TREE], [array]).x[0]):
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, np.float32([[0, 2, 4], [12, 14, 16]]))
