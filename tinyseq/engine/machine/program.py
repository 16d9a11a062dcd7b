"""A plan bound to memory: one array of integers, one arena, and the arrays of the user's where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import addressof, c_char
from functools import cached_property

import numpy as np

from tinyseq.engine.forks import owned
from tinyseq.engine.machine.assemble import Assembler, Part
from tinyseq.engine.machine.assembled import Assembled, assembled
from tinyseq.engine.machine.lookups import Lookup, check_lookups, lookups
from tinyseq.engine.machine.memory import LENT, LINE, Memory, held
from tinyseq.engine.machine.pacing import Pace
from tinyseq.engine.machine.workers import WORKERS
from tinyseq.engine.plan.pipeline import Plan
from tinyseq.engine.plan.sharing import wanted_threads
from tinyseq.ops.picks import in_range
from tinyseq.tape import Tape


def address_of(array: np.ndarray) -> int:
    """Where an array's elements lie; ``array.ctypes.data`` alone takes three times as long."""
    if array.flags.carray and array.size:
        return addressof(c_char.from_buffer(array))  # type: ignore[arg-type]
    return array.ctypes.data


class Program:
    """Runs a plan. ``bind`` says where the leaves lie, ``run`` computes, ``value`` and ``gradients`` show results.

    A program that ``shares`` its memory runs ``with program.alone()`` and copies its results there: the next run may be
    another program's.
    """

    def __init__(self, plan: Plan, threads: int | None = None, shares: bool = False) -> None:
        made = assembled(plan, threads if threads is not None else wanted_threads(plan))
        self._plan: Plan | Callable[[], Plan] = plan
        pace = Pace() if threads is None and made.threads > 1 else None
        self._load(made, plan.graph.outputs, plan.arena, pace, self._in_turn_of_plan, shares)

    @classmethod
    def instance(
        cls, made: Assembled, outputs: list[int], arena: int, plan: Callable[[], Plan], pace: Pace | None,
        in_turn: Callable[[], Part | None],
    ) -> Program:  # fmt: skip
        """A program whose plan is worked out when somebody asks for it, and the part that does the work of all threads
        in turn when a run wants it. It shares the pace of its plan's other programs."""
        self = cls.__new__(cls)
        self._plan = plan
        self._load(made, outputs, arena, pace, lambda: in_turn() or self._in_turn_of_plan(), True)
        return self

    def parts_in_turn(self) -> tuple[Part, Part]:
        """The part of all threads in turn, as it is made here and as the plan itself assembles to: equal, if all is
        right."""
        return self._make_in_turn(), self._in_turn_of_plan()

    def _in_turn_of_plan(self) -> Part:
        return Assembler(self.plan, range(self.threads), self.threads).assemble()

    @property
    def plan(self) -> Plan:
        """The plan that this runs."""
        if not isinstance(self._plan, Plan):
            self._plan = self._plan()
        return self._plan

    def _load(
        self, made: Assembled, outputs: list[int], arena: int, pace: Pace | None, in_turn: Callable[[], Part],
        shares: bool,
    ) -> None:  # fmt: skip
        self.dtype, self.storages, self.threads, self.made = made.dtype, made.storages, made.threads, made
        self._arena_size = max(arena, 1)
        self._leaves = [s for s in self.storages if s.space == "leaf" and s.last >= 0]
        self._lookups: list[Lookup] | None = None
        self._pace = pace
        self._make_in_turn = in_turn
        self.flags = np.zeros(16, np.int64)
        self._place_integers()
        self._grads = [s for s in self.storages if s.space == "grads"]
        self._grads_size = made.flat_size
        self._grad_places = {storage.node: made.flat_starts[storage.index] for storage in self._grads}
        self._parts = made.parts
        self._views = dict(zip(outputs, made.views, strict=True))
        self._in_turn: Part | None = None
        self._shares = shares
        self._move_in(LENT.memory(self._room()) if shares else Memory(self._room()))
        if not shares:
            self._begin()
        owned.add(self)

    def _room(self) -> int:
        """Bytes of memory that runs write: the arena, the gradients, then those of other threads."""
        return self._before_grads() + max(self._grads_size * self.threads, 1) * self.dtype.itemsize

    def _before_grads(self) -> int:
        return -(-self._arena_size * self.dtype.itemsize // LINE) * LINE

    def _move_in(self, memory: Memory) -> None:
        """Run in this memory from now on."""
        self.memory = memory
        size, start, end = self.dtype.itemsize, self._before_grads(), self._room()
        self.arena = memory.bytes[: self._arena_size * size].view(self.dtype)
        self.grads = memory.bytes[start:end].view(self.dtype)
        self._addresses = address_of(self.arena), address_of(self.integers)
        for storage in self._grads:
            storage.base = start // size + self._grad_places[storage.node]
        written = memory.bytes, self.integers
        self._written = [(first, first + m.nbytes) for first, m in zip(map(address_of, written), written, strict=True)]
        self._together = self._for_machine(self._parts)
        if self._in_turn is not None:
            self._alone = self._for_machine([self._in_turn])
        self._unbind()
        self._values: dict[int, np.ndarray] = {}
        self._gradients: dict[int, np.ndarray] = {}

    def _begin(self) -> None:
        """Write what runs expect to find in the memory, which may have been another program's."""
        self.memory.tenant = None  # an exception in the middle leaves nobody's
        self.grads[:] = 0
        for storage in self.storages:
            if storage.space == "arena" and storage.data is not None and storage.last >= 0:
                self.arena[storage.base : storage.base + len(storage.data)] = storage.data
        self.memory.tenant = self._parts

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While the program is bound, runs and its results are copied: nobody else runs in its memory.

        Where somebody does, in another thread, the program moves to a memory of its own.
        """
        with held(self.memory) as mine:
            if mine:
                yield
                return
        self._move_in(Memory(self._room()))
        with held(self.memory):
            yield

    def _unbind(self) -> None:
        """Nothing is bound: the next `bind` writes down everything anew."""
        self._settled = False  # whether the last bind came to its end
        self._keep: dict[int, np.ndarray] = {}  # what is bound: the same array again lies where it lay
        self._bound: dict[int, int] = {}
        self._moving: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self._placed = False

    def after_fork(self) -> None:
        """In a forked process: another thread may have been binding."""
        self._settled = False

    def _place_integers(self) -> None:
        wanted = [s for s in self.storages if s.space == "integers" and s.last >= 0]
        total = 0
        for storage in wanted:
            storage.base = total + storage.lead
            total += len(storage.data)
        self.integers = np.zeros(max(total, 1), np.int64)

    def bind(self, arrays: dict[int, np.ndarray], tape: Tape | None = None) -> None:
        """Say where leaves lie (tape index → contiguous array of the planned dtype). Nothing is copied but what lies in
        the program's own memory, such as gradients of the last run: it would be read while it is overwritten.

        Raises DataError where an index is out of range: the kernels trust them. With the tape, or one recorded alike,
        only integers that an op looks up by count; without it all of a leaf do. After an exception in the middle,
        Ctrl-C say, the next call binds everything anew.
        """
        for node, limit, op in self.made.limits:
            array = arrays[node]
            # a negative number read without its sign is larger than any limit
            if array.size and array.view(np.uint64).max() >= limit:
                if self._lookups is None and tape is not None:
                    self._lookups = lookups(tape, self.plan)
                if self._lookups is None:
                    in_range(f"{op}: input %{node}", limit, array)
                else:  # it may be padding that nobody reads, or meant for another table
                    check_lookups(self._lookups, arrays)
        if not self._settled:
            self._unbind()
        self._settled = False
        moved, keep, bound = not self._placed, self._keep, self._bound
        for storage in self._leaves:
            node = storage.node
            array = arrays[node]
            if keep.get(node) is array:
                continue
            address = address_of(array)
            if self._owns(address, array):
                array = array.copy()
                address = address_of(array)
            keep[node] = array
            if bound.get(node) != address:
                moved = True
                bound[node] = address
                storage.base = (address - self._addresses[array.dtype.kind == "i"]) // array.itemsize
        if moved:
            self._relocate()
        self._settled = True

    def _owns(self, address: int, array: np.ndarray) -> bool:
        """Whether an array lies in memory that a run writes."""
        return any(start - array.nbytes < address < end for start, end in self._written)

    def _relocate(self) -> None:
        """Write down where storages lie now: all of them the first time, and then the leaves, as only they move."""
        first = not self._placed
        if first:
            self._placed = True
            for part in self._parts:
                self._move(part)
        else:
            if not self._moving:
                is_leaf = np.array([s.space == "leaf" for s in self.storages] + [False, False])
                for code, _, (places, storages, constants) in self._parts:
                    moves = is_leaf[storages]
                    self._moving.append((code, places[moves], storages[moves], constants[moves]))
            bases = np.array([s.base for s in self.storages], np.int64)
            for code, places, storages, constants in self._moving:
                code[places] = constants + bases[storages]
        if self._in_turn:
            self._move(self._in_turn)
        for each in self.made.listed:
            where, storage = self.storages[each.where], self.storages[each.storage]
            if first or storage.space == "leaf":
                self.integers[where.base + each.places] = storage.base + each.numbers

    def _move(self, part: Part) -> None:
        """Write into a program where its storages lie now."""
        code, _, (places, storages, constants) = part
        origin = (address_of(self.grads) - self._addresses[0]) // self.dtype.itemsize
        bases = np.array([s.base for s in self.storages] + [origin, 0], np.int64)
        code[places] = constants + bases[storages]

    @cached_property
    def nbytes(self) -> int:
        """Bytes that the program and its plan take, roughly: arrays, and what Python keeps beside them. Memory that it
        shares with others goes with the last of them, and does not count."""
        found = self.integers.nbytes + (0 if self._shares else self.arena.nbytes + self.grads.nbytes)
        for code, tables, moves in self._parts:
            found += code.nbytes + tables.nbytes + 2 * sum(part.nbytes for part in moves)
        found += sum(s.data.nbytes for s in self.storages if isinstance(s.data, np.ndarray))
        return found + 2000 * len(self.storages) + 1000 * self.made.classes

    def run(self) -> None:
        """Run the program from its first block to its last."""
        if self.memory.tenant is not self._parts:
            self._begin()
        if self._pace is None:
            self.run_together()
        else:
            self._pace.run(self.run_together, self.run_in_turn, self._ready_in_turn, self._arena_size)

    def run_together(self) -> None:
        """Run each thread's part in a thread of its own."""
        self.flags[0] = 0
        WORKERS.run(self._together[0])

    def run_in_turn(self) -> None:
        """Run the same in one thread that does the work of all in turn, for times when processors are busy with others.

        The bits are those of `run_together`.
        """
        self._ready_in_turn()
        WORKERS.run(self._alone[0])

    def _ready_in_turn(self) -> None:
        if self._in_turn is None:
            part = self._make_in_turn()
            self._alone = self._for_machine([part])
            self._move(part)
            self._in_turn = part  # last: an exception before leaves none

    def _for_machine(self, parts: list[Part]) -> tuple[np.ndarray, list[np.ndarray]]:
        """The addresses of the parts as the virtual machine reads them, and what lies there."""
        rows = [
            np.array(
                [
                    address_of(code),
                    code.size,
                    address_of(tables),
                    *self._addresses,
                    k,
                    len(parts),
                    address_of(self.flags),
                ],
                np.int64,
            )
            for k, (code, tables, _) in enumerate(parts)
        ]
        return np.array([address_of(row) for row in rows], np.int64), rows

    def value(self, node: int) -> np.ndarray:
        """A view of a wanted value, until the next run."""
        found = self._values.get(node)
        if found is None:
            found, stays = self._view(node)
            if stays:
                self._values[node] = found
        return found

    def _view(self, node: int) -> tuple[np.ndarray, bool]:
        """A view of a wanted value, and whether it stays where it is."""
        view = self._views[node]
        storage = self.storages[view.storage]
        stays = storage.space != "leaf"
        start = view.start
        if not stays:
            source = self._keep[storage.node].reshape(-1)
        else:
            source = self.integers if view.integers else self.arena
            start += storage.base
        if view.dense:
            return source[start : start + view.rows * view.cols].reshape(view.shape), stays
        strides, shape = (view.row * source.itemsize, source.itemsize), (view.rows, view.cols)
        return np.lib.stride_tricks.as_strided(source[start:], shape, strides).reshape(view.shape), stays

    def gradients(self) -> dict[int, np.ndarray]:
        """Views of the parameters' gradients by tape index, until the next run."""
        if not self._gradients:
            self._gradients = self._parts_of(self.grads)
        return self._gradients

    def kept_gradients(self) -> dict[int, np.ndarray]:
        """The parameters' gradients by tape index, in memory that no run writes."""
        return self._parts_of(self.grads[: self._grads_size].copy())

    def _parts_of(self, flat: np.ndarray) -> dict[int, np.ndarray]:
        places = self._grad_places
        return {s.node: flat[places[s.node] : places[s.node] + s.size] for s in self._grads}
