"""``ts.compile``: record a function once for each signature of its arguments, then only run it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyseq.arrays import check_plain
from tinyseq.engine.reference import Reference
from tinyseq.errors import GradientError, TapeError
from tinyseq.folding import entering, rebuild
from tinyseq.habits import advised
from tinyseq.tape import DTYPES, Tape
from tinyseq.tensor import Tensor, internal, tensor

if TYPE_CHECKING:
    from tinyseq.engine.program import Program

internal(__file__)


class _Recording(Reference):
    """The executor while a function is being recorded: leaves have values, nothing else has."""

    def value(self, index: int) -> np.ndarray:
        raise TapeError(
            "a function given to ts.compile cannot read values while it is recorded: the next call would not "
            "read them again. Return the tensor instead; its value comes back from the call"
        )


class _Version:
    """One recording of the function: its tape, where its arguments are, its programs."""

    def __init__(self, function: Callable[..., Any], arguments: tuple) -> None:
        self.slots: list[int] = []
        with Tape(executor=_Recording) as tape:
            self.tape = tape
            self.result = function(*[self._enter(a) for a in arguments])
            self.nodes = [t.index for t in entering(self.result, "the result of a compiled function")]
        if not self.nodes:
            raise TapeError("a compiled function must return a tensor (the loss first), or a tuple of tensors")
        self.frozen = {i: v for i, v in tape.executor.values.items() if i not in self.slots}
        self.dtypes = [DTYPES[tape.kind_of(slot).dtype] for slot in self.slots]
        self.parameters = [(node, p) for p in tape.parameters if (node := tape.node_of(p)) is not None]
        self.keep = arguments
        self.lock = threading.RLock()  # a program has one memory
        self._programs: dict[bool, Program | str] = {}

    def _enter(self, argument: Any) -> Any:
        if isinstance(argument, np.ndarray):
            made = tensor(argument)
            self.slots.append(made.index)
            return made
        if isinstance(argument, (tuple, list)) and any(True for _ in _arrays(argument)):
            entered = [self._enter(a) for a in argument]
            return type(argument)(*entered) if hasattr(argument, "_fields") else type(argument)(entered)
        if isinstance(argument, dict):
            return {key: self._enter(a) for key, a in argument.items()}
        return argument

    def program(self, backward: bool) -> Program | str:
        """The program, planned when first wanted; or the reason why there is none."""
        if backward not in self._programs:
            loss = self.nodes[0] if backward else -1
            if backward and self.tape.shape(loss) != ():
                raise GradientError(
                    "backward needs a scalar loss first among the results, "
                    f"got shape {self.tape.shape(loss)}; return ts.sum(...)"
                )
            self._programs[backward] = _planned(self.tape, self.nodes, loss)
        return self._programs[backward]

    def leaves(self, arrays: list[np.ndarray]) -> dict[int, np.ndarray]:
        """Arrays of all leaves for a run."""
        found = dict(self.frozen)
        for slot, array, dtype in zip(self.slots, arrays, self.dtypes, strict=True):
            fits = array.dtype is dtype and array.flags.carray
            found[slot] = array if fits else np.require(array, dtype, ["C", "ALIGNED"])
        for node, parameter in self.parameters:
            found[node] = parameter.value
        return found

    def publish(self, program: Program) -> None:
        """Hand the gradients of a program that has run to the parameters, in memory that no later run writes."""
        grads = program.kept_gradients()
        if not grads:
            raise GradientError(
                "backward: the first result depends on no parameter, so there is nothing to differentiate"
            )
        for node, parameter in self.parameters:
            grad = grads.get(node)
            parameter.publish(None if grad is None else grad.reshape(parameter.shape))


def _planned(tape: Tape, nodes: list[int], loss: int) -> Program | str:
    if find_spec("tinyseq.engine.plan") is None:
        return "the compiled executor is not part of this installation"
    from tinyseq.engine.planned import planned

    return planned(tape, nodes, loss)


class CompiledFunction:
    """A function of arrays that is recorded once and replayed.

    ``f(x, y)`` gives its results as arrays; ``f.backward(x, y)`` does so too and sets ``grad`` of every parameter
    that the first result, a scalar, depends on. Results and gradients are the caller's: no later call changes
    them. Threads may call it at once; one runs at a time.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__doc__, self.__name__ = function.__doc__, getattr(function, "__name__", "compiled")
        self._versions: dict[Any, _Version] = {}
        self._lock = threading.RLock()

    def __call__(self, *arguments: Any) -> Any:
        return self._run(arguments, False)

    def backward(self, *arguments: Any) -> Any:
        """The results, with the gradients of the first set on the parameters."""
        return self._run(arguments, True)

    def tape(self, *arguments: Any) -> Tape:
        """The tape recorded for arguments like these."""
        return self._version(arguments).tape

    def program(self, *arguments: Any) -> Program | str:
        """The program for arguments like these, or the reason why there is none."""
        return self._version(arguments).program(True)

    def reference(self, *arguments: Any) -> tuple[Reference, int]:
        """The reference executor with the leaves of a call, and the first result's node: to look at every value."""
        version = self._version(arguments)
        executor = Reference(version.tape)
        executor.values.update({i: v.copy() for i, v in version.leaves(list(_arrays(arguments))).items()})
        return executor, version.nodes[0]

    def _version(self, arguments: tuple) -> _Version:
        key = tuple([signature(a) for a in arguments])
        version = self._versions.get(key)
        if version is None:
            with self._lock:
                version = self._versions.get(key)
                if version is None:
                    version = self._versions[key] = _Version(self.function, arguments)
        return version

    def _run(self, arguments: tuple, backward: bool) -> Any:
        version = self._version(arguments)
        with version.lock:
            program = version.program(backward)
            leaves = version.leaves(list(_arrays(arguments)))
            if isinstance(program, str):
                return self._plain(version, leaves, backward)
            program.bind(leaves, version.tape)
            program.run()
            if backward:
                version.publish(program)
            values = [program.value(i).copy() for i in version.nodes]
            return rebuild(version.result, _handed_back(values, leaves, version.slots))

    def _plain(self, version: _Version, leaves: dict[int, np.ndarray], backward: bool) -> Any:
        """Without a plan: the reference executor on the recorded tape."""
        executor = Reference(version.tape)
        executor.values.update({i: v.copy() for i, v in leaves.items()})
        if backward:
            executor.backward(version.nodes[0])
        values = [executor.value(i) for i in version.nodes]
        return rebuild(version.result, _handed_back(values, leaves, version.slots))


def _handed_back(values: list[np.ndarray], leaves: dict[int, np.ndarray], slots: list[int]) -> list[Any]:
    """Results as the caller gets them: the first, a loss, as a number of NumPy's, unless an argument has no axes either
    and so may be a state; all others as arrays, which the next call takes."""
    if values[0].ndim or not all(leaves[slot].ndim for slot in slots):
        return list(values)
    return [values[0][()], *values[1:]]


def _arrays(argument: Any) -> Any:
    if isinstance(argument, np.ndarray):
        yield argument
    elif isinstance(argument, (tuple, list)):
        for a in argument:
            yield from _arrays(a)
    elif isinstance(argument, dict):
        for a in argument.values():
            yield from _arrays(a)


def signature(argument: Any) -> Any:
    """What a recording depends on: shapes and dtypes of arrays, the value or identity of anything else."""
    if isinstance(argument, np.ndarray):
        check_plain(argument, "an argument of a compiled function")
        return argument.shape, argument.dtype
    if isinstance(argument, Tensor):
        raise TapeError("a compiled function takes arrays, not tensors of another tape: give it tensor.value")
    if isinstance(argument, (tuple, list)):
        return type(argument).__name__, tuple(signature(a) for a in argument)
    if isinstance(argument, dict):
        return tuple((key, signature(a)) for key, a in argument.items())
    if argument is None or isinstance(argument, (int, float, str, bool, bytes)):
        return type(argument).__name__, argument
    if isinstance(argument, np.generic):
        return argument.dtype.str, argument.item()
    if hasattr(argument, "signature"):
        return argument.signature()
    return id(argument)


@advised
def compile(function: Callable[..., Any], checkpoint: bool | int = False) -> Any:
    """Record ``function`` on its first call for each signature (shapes, structures), and replay it afterwards.

    The function takes arrays (it sees them as tensors) and anything else (fixed by its value or identity), and
    returns a tensor or a nesting of tensors, the loss first::

        step = ts.compile(model.loss)
        loss = step.backward(x, y)      # sets p.grad of every parameter

    ``checkpoint=True`` (segments of √T steps) or ``checkpoint=k`` runs ``f(*sequences, state) -> (loss, state)``
    segment after segment and keeps only the states between them; see ``tinyseq.segments``.
    """
    if checkpoint:
        from tinyseq.segments import Segmented

        return Segmented(function, checkpoint)
    return CompiledFunction(function)
