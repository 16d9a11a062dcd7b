"""The one place that turns Python functions into Numba kernels.

`kernel` decorates a function, `kernel_from_source` makes one out of generated text. Both compile on the
first call, never at import, and keep the machine code on disk (`tinyseq.jit.cache`).
"""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import numba

from tinyseq.jit.cache import KernelCache

__all__ = ["FASTMATH", "FLAGS", "inlined", "kernel", "kernel_from_source"]

# Never "nnan" or "ninf": a NaN must travel through every kernel to be found, and they would let LLVM drop it.
FASTMATH = frozenset({"contract", "reassoc", "arcp", "nsz"})

# error_model="numpy" takes the branch out of every division, and with it the obstacle to vectorising.
FLAGS: Mapping[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": FASTMATH,
    "boundscheck": False,
}


def kernel(function: Callable[..., Any] | None = None, /, **flags: Any) -> Any:
    """Make a lazily compiled, disk-cached, GIL-free Numba function: `@kernel` or `@kernel(fastmath=...)`.

    `flags` are those of `numba.njit` and override `FLAGS`. With `NUMBA_DISABLE_JIT=1` the plain function
    comes back. Raises TypeError for anything but a Python function.
    """
    if function is None:
        return lambda decorated: kernel(decorated, **flags)
    if not isinstance(function, FunctionType):
        raise TypeError(f"kernel expects a Python function, not {function!r}: write @kernel above a def")
    options = {**FLAGS, **flags}
    if isinstance(options["fastmath"], frozenset):
        options["fastmath"] = set(options["fastmath"])
    dispatcher = numba.njit(**options)(function)
    if dispatcher is not function:
        dispatcher._cache = KernelCache(function, dispatcher.targetoptions)
    return dispatcher


def inlined(function: Any) -> Any:
    """A kernel as a part of whoever calls it, which is then compiled once; the call would be compiled, and so what it
    calls, in two libraries of machine code. The caller's flags hold."""
    python = getattr(function, "py_func", function)
    return numba.njit(inline="always")(python) if python is not function else function


def kernel_from_source(name: str, source: str, namespace: Mapping[str, Any], **flags: Any) -> Any:
    """Make a kernel of the function `name` defined by the text `source`, with `namespace` as its globals.

    Callees and constants go into `namespace` (copied); the text is shown in tracebacks. Raises ValueError
    when the text defines no such function, SyntaxError with the offending line when it doesn't parse.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    filename = f"<tinyseq {name} {digest}>"
    # A modification time of None tells linecache.checkcache() that there is no file to compare with.
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    scope = {**namespace, "__name__": __name__}
    exec(compile(source, filename, "exec", dont_inherit=True), scope)
    function = scope.get(name)
    if not isinstance(function, FunctionType):
        first_line = source.partition("\n")[0]
        raise ValueError(f"the source defines no function {name!r}; its first line is {first_line!r}")
    return kernel(function, **flags)
