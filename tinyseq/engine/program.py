"""A plan bound to memory: one array of integers, one arena, and the arrays of the user's where they lie."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tinyseq.engine.layout import Block, Instruction, Storage
from tinyseq.engine.plan import Plan
from tinyseq.engine.threads import WORKERS, Pace, available
from tinyseq.engine.vm import BLOCK_HEADER, HEADER, kernel_address, run
from tinyseq.ops import OPS
from tinyseq.ops.index import in_range

THREADED_WORK = 2e7
Part = tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]


def aligned(count: int, dtype: np.dtype, alignment: int = 64) -> np.ndarray:
    """Uninitialised memory that begins at a multiple of ``alignment`` bytes."""
    raw = np.empty(count * dtype.itemsize + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + count * dtype.itemsize].view(dtype)


class Program:
    """Runs a plan. ``bind`` says where the leaves lie, ``run`` computes, ``value`` and ``gradients`` show results."""

    def __init__(self, plan: Plan, threads: int | None = None) -> None:
        self.plan, self.dtype = plan, plan.dtype
        self.arena = aligned(max(plan.arena, 1), plan.dtype)
        self._leaves = [s for s in plan.storages if s.space == "leaf" and s.last >= 0]
        self._limits = index_limits(plan)
        self._place_integers()
        self._place_grads()
        self.threads = threads if threads is not None else wanted_threads(plan)
        self._pace = Pace() if threads is None and self.threads > 1 else None
        self._single: Part | None = None
        self._parts = [Assembler(plan, k, self.threads).assemble() for k in range(self.threads)]
        self.flags = np.zeros(16, np.int64)
        self._bound: dict[int, int] = {}
        self._keep: dict[int, np.ndarray] = {}
        for storage in plan.storages:
            if storage.space == "arena" and storage.data is not None and storage.last >= 0:
                self.arena[storage.base : storage.base + len(storage.data)] = storage.data

    def _place_integers(self) -> None:
        wanted = [s for s in self.plan.storages if s.space == "integers" and s.last >= 0]
        total = 0
        for storage in wanted:
            storage.base = total
            total += len(storage.data)
        self.integers = np.zeros(max(total, 1), np.int64)

    def _place_grads(self) -> None:
        self._grads = [s for s in self.plan.storages if s.space == "grads"]
        self._grad_places: dict[int, int] = {}
        total = 0
        for storage in self._grads:
            self._grad_places[storage.node] = total
            total += -(-storage.size // 16) * 16
        self.grads = aligned(max(total, 1), self.dtype)
        self.grads[:] = 0
        origin = (self.grads.ctypes.data - self.arena.ctypes.data) // self.dtype.itemsize
        for storage in self._grads:
            storage.base = origin + self._grad_places[storage.node]

    def bind(self, arrays: dict[int, np.ndarray]) -> None:
        """Say where leaves lie (tape index → contiguous array of the planned dtype); nothing is copied.

        Raises DataError where an index is out of range: the kernels trust them.
        """
        for node, (limit, op) in self._limits.items():
            in_range(f"{op}: input %{node}", limit, arrays[node])
        moved = False
        for storage in self._leaves:
            array = arrays[storage.node]
            address = array.ctypes.data
            if self._bound.get(storage.node) != address:
                moved = True
                self._bound[storage.node] = address
                origin = (self.integers if array.dtype == np.int64 else self.arena).ctypes.data
                storage.base = (address - origin) // array.dtype.itemsize
            self._keep[storage.node] = array
        if moved or not self._bound:
            self._relocate()

    def _relocate(self) -> None:
        for part in [*self._parts, *([self._single] if self._single else [])]:
            self._move(part)
        for _, where, ref, layouts in self.plan.pointers:
            if where.last < 0:
                continue
            index = self.integers[where.base : where.base + len(where.data)]
            for c, layout in layouts.items():
                chosen = ref.classes == c
                index[chosen] = layout.storage.base + layout.offset + ref.numbers[chosen] * layout.member

    def _move(self, part: Part) -> None:
        """Write into a program where its storages lie now."""
        code, _, (places, storages, constants) = part
        bases = np.array([s.base for s in self.plan.storages] + [0], np.int64)
        code[places] = constants + bases[storages]

    def run(self) -> None:
        """Run the program from its first block to its last."""
        if self.threads == 1 or self._pace is None:
            self._run_parts(self._parts)
        else:
            self._pace.run(lambda: self._run_parts(self._parts), lambda: self._run_parts([self._alone()]))

    def _alone(self) -> Part:
        """The program of one thread, for times when the processors are busy with others."""
        if self._single is None:
            self._single = Assembler(self.plan).assemble()
            self._move(self._single)
        return self._single

    def _run_parts(self, parts: list[Part]) -> None:
        arena, integers = self.arena.ctypes.data, self.integers.ctypes.data
        self.flags[0] = 0

        def part(k: int) -> None:
            code, tables, _ = parts[k]
            run(code, tables, arena, integers, k, len(parts), self.flags)

        if len(parts) == 1:
            part(0)
        else:
            WORKERS.run([partial(part, k) for k in range(len(parts))])

    def value(self, node: int) -> np.ndarray:
        """A view of a wanted value, until the next run."""
        state = self.plan.graph.state
        cls = state.classes[int(state.node_class[node])]
        layout = self.plan.values[cls.index]
        number = int(state.node_number[node])
        shape = cls.shape(number)
        if layout.storage.space == "leaf":
            source = self._keep[layout.storage.node].reshape(-1)
            start = layout.offset + number * layout.member
        else:
            source = self.integers if cls.dtype.kind == "i" else self.arena
            start = layout.storage.base + layout.offset + number * layout.member
        if layout.ragged >= 0:
            start += int(state.classes[layout.ragged].rows[:number].sum()) * layout.row
        rows, cols = (shape[0] if shape else 1), cls.cols
        if layout.dense:
            return source[start : start + rows * cols].reshape(shape)
        strides = (layout.row * source.itemsize, source.itemsize)
        return np.lib.stride_tricks.as_strided(source[start:], (rows, cols), strides).reshape(shape)

    def gradients(self) -> dict[int, np.ndarray]:
        """Views of the parameters' gradients by tape index."""
        return {s.node: self.grads[self._grad_places[s.node] : self._grad_places[s.node] + s.size] for s in self._grads}


def wanted_threads(plan: Plan) -> int:
    """As many threads as there are processors, for work that outweighs waking them."""
    return available() if work(plan) > THREADED_WORK else 1


def work(plan: Plan) -> float:
    """Multiplications, roughly: products count in full, all else by its rows and columns."""
    total = 0.0
    for block in plan.blocks:
        for instruction in block.instructions:
            d = [float(n) for n in instruction.d]
            levels = float(block.levels)
            for slot, (coefficient, key) in instruction.vary.items():
                group = plan.graph.classes[key[1]].group.index if key[0] == "rows" else key[1]
                d[slot] = coefficient * (block.bounds[group][-1] / levels if key[0] == "members" else 1.0)
            sizes = d[1 + len(instruction.operands) + 1 :]
            each = float(np.prod([max(n, 1.0) for n in sizes[:2]])) if sizes else 1.0
            total += levels * max(d[0], 1.0) * each
    return total


def index_limits(plan: Plan) -> dict[int, tuple[int, str]]:
    """For each integer leaf (tape index), the number below which its elements must lie, and the op that says so."""
    limits: dict[int, tuple[int, str]] = {}
    graph = plan.graph
    for i in sorted(graph.needed):
        cls = graph.classes[i]
        if cls.op not in OPS or OPS[cls.op].check is None:
            continue
        position = len(cls.refs) - 1
        if cls.op == "one_hot":
            limit = cls.tail[-1] if cls.tail else int(cls.rows[0])
        else:
            shape = graph.classes[cls.refs[0].sources()[0]].shape()
            limit = shape[1 if dict(cls.attrs).get("axis") else 0] if cls.op == "take" else shape[-1]
        stack, seen = list(cls.refs[position].sources()), set()
        while stack:
            source = graph.classes[stack.pop()]
            if source.index in seen:
                continue
            seen.add(source.index)
            if source.op == "input":
                node = int(source.nodes[0])
                limits[node] = min(limits.get(node, (limit, cls.op)), (limit, cls.op))
            stack += [s for ref in source.refs for s in ref.sources()]
            stack += [int(c) for c in np.unique(graph.state.node_class[graph.state.joins.get(source.index, [])])]
    return limits


class Assembler:
    """Turns blocks into the integers of one thread's program.

    Threads share a block in one of three ways: each takes some rows of every member (a chain), some members of every
    level (a tree, or all members at once), or its own part of what one instruction writes (a weight gradient).
    """

    def __init__(self, plan: Plan, thread: int = 0, threads: int = 1) -> None:
        self.plan, self.thread, self.threads = plan, thread, threads
        self.code: list[int] = []
        self.tables: list[np.ndarray] = []
        self.table_size = 0
        self.moves: list[tuple[int, int, int]] = []
        self._starts: dict[int, np.ndarray] = {}

    def assemble(self) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(code, tables, (places, storages, constants) of what depends on where storages lie)."""
        for block in self.plan.blocks:
            self.block(block)
        moves = np.array(self.moves, np.int64).reshape(-1, 3).T.copy()
        tables = np.concatenate(self.tables) if self.tables else np.zeros(1, np.int64)
        return np.array(self.code, np.int64), tables.astype(np.int64), (moves[0], moves[1], moves[2])

    def share(self, total: int) -> tuple[int, int]:
        """This thread's part of 0 … total, in steps that keep tiles whole where there are enough rows."""
        step = 8 if total >= 16 * self.threads else 1
        parts = -(-total // step)
        low, high = parts * self.thread // self.threads * step, parts * (self.thread + 1) // self.threads * step
        return min(low, total), min(high, total)

    def mode(self, block: Block) -> str:
        """How threads share a block."""
        if self.threads == 1:
            return "single"
        if block.recurrent and block.by_members:
            disjoint = all(self.writes_members(i) for i in block.instructions)
            return "members" if disjoint else "single"
        alone = block.levels == 1 and len(block.instructions) == 1
        if (block.recurrent or alone) and self.shares_rows(block):
            return "rows"
        if block.levels == 1 and block.bounds and all(self.writes_members(i) for i in block.instructions):
            if min(int(b[-1]) for b in block.bounds.values()) >= 2 * self.threads:
                return "members"
        return "single"

    def shares_rows(self, block: Block) -> bool:
        """Whether all instructions split into the same rows, enough of them, one member at a time."""
        rows = set()
        for instruction in block.instructions:
            split = instruction.split
            if split is None:
                return False
            vary = instruction.vary.get(split.slot)
            if vary and not block.recurrent:
                key = vary[1]
                group = self.plan.graph.classes[key[1]].group.index if key[0] == "rows" else key[1]
                if block.bounds[group][-1] != 1:
                    return False
            rows.add(split.rows)
        return len(rows) == 1 and rows.pop() >= 2 * self.threads

    @staticmethod
    def writes_members(instruction: Instruction) -> bool:
        """Whether every member writes a place of its own."""
        target = instruction.operands[0]
        return bool(target.vary and target.vary[0] and target.vary[1][0] != "rowstart") or instruction.disjoint

    def block(self, block: Block) -> None:
        """One block with its tables."""
        mode = self.mode(block)
        header = len(self.code)
        alone = self.threads > 1 and mode == "single"
        each_level = block.recurrent and mode == "members"
        sync = 0 if self.threads == 1 else (2 if each_level else 1)
        self.code += [block.levels, int(block.backwards), 0, self.table_size, int(alone), sync]
        columns: dict[Any, tuple[int, int | None]] = {}
        size = 0
        for instruction in block.instructions:
            for key in self.keys(instruction):
                if key not in columns:
                    column = self.column(block, key, mode)
                    if (column == column[0]).all():
                        columns[key] = (-1, int(column[0]))
                    else:
                        columns[key] = (size, None)
                        self.tables.append(column)
                        size += len(column)
        self.table_size += size
        for instruction in block.instructions:
            self.instruction(instruction, columns, mode)
        self.code[header + 2] = len(self.code) - header - BLOCK_HEADER

    @staticmethod
    def keys(instruction: Instruction) -> list[Any]:
        """Tables that an instruction uses."""
        found = [address.vary[1] for address in instruction.operands if address.vary]
        return found + [vary[1] for vary in instruction.vary.values()]

    def starts(self, c: int) -> np.ndarray:
        """Rows before each member of a class."""
        if c not in self._starts:
            rows = np.maximum(self.plan.graph.classes[c].rows, 1)
            self._starts[c] = np.concatenate([[0], np.cumsum(rows)])
        return self._starts[c]

    def column(self, block: Block, key: Any, mode: str = "single") -> np.ndarray:
        """A table: one number for each level."""
        cls = self.plan.graph.classes[key[1]] if key[0] in ("rows", "rowstart") else None
        bounds = block.bounds[cls.group.index if cls else key[1]]
        first, last = bounds[:-1], bounds[1:]
        if mode == "members":
            count = last - first
            first, last = first + count * self.thread // self.threads, first + count * (self.thread + 1) // self.threads
        if key[0] == "member":
            return first
        if key[0] == "members":
            return last - first
        if key[0] == "within":
            return first - bounds[:-1]
        assert cls is not None
        starts = self.starts(key[1])
        if key[0] == "rows":
            return starts[last] - starts[first]
        place = first + key[2]
        beyond = np.minimum(place, 0) + np.maximum(place - cls.count, 0)
        return starts[np.clip(place, 0, cls.count)] + beyond * int(cls.rows.max())

    def instruction(self, instruction: Instruction, columns: dict[Any, tuple[int, int | None]], mode: str) -> None:
        """One instruction: header, varying numbers, payload."""
        varying: list[tuple[int, int, int, int, Storage | None]] = []
        payload: list[tuple[int, Storage | None]] = []
        low, high = 0, 0
        split = instruction.split if mode == "rows" else None
        if split:
            low, high = self.share(split.rows)
        for slot, address in enumerate(instruction.operands):
            constant = address.offset + (low * split.strides[slot] if split and slot < len(split.strides) else 0)
            if address.vary:
                coefficient, key = address.vary
                place, fixed = columns[key]
                if fixed is not None:
                    constant += coefficient * fixed
                else:
                    varying.append((slot, constant, coefficient, place, address.storage))
            payload.append((constant, address.storage))
        first = len(instruction.operands)
        for slot, number in enumerate(instruction.d):
            if split and slot == split.slot:
                number = (high - low) * split.unit
                if slot in instruction.vary:
                    place, fixed = columns[instruction.vary[slot][1]]
                    if fixed is None:  # levels without a member have no rows
                        varying.append((first + slot, 0, number, place, None))
                    else:
                        number *= fixed
            elif slot in instruction.vary:
                coefficient, key = instruction.vary[slot]
                place, fixed = columns[key]
                if fixed is not None:
                    number = coefficient * fixed
                else:
                    varying.append((first + slot, 0, coefficient, place, None))
            payload.append((int(number), None))
        self.code += [kernel_address(instruction.kernel, self.plan.dtype), len(varying), len(payload), 0]
        assert HEADER == 4
        for slot, base, coefficient, place, storage in varying:
            if storage is not None:
                self.moves.append((len(self.code) + 1, storage.index, base))
            self.code += [slot, base, coefficient, place]
        for number, storage in payload:
            if storage is not None:
                self.moves.append((len(self.code), storage.index, number))
            self.code.append(number)
