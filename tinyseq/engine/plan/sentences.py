"""The words of a plan: what its storages are called, what each instruction does as an equation, over how many rows."""

from __future__ import annotations

from collections.abc import Iterator

from tinyseq.engine.plan.fold import Class
from tinyseq.engine.plan.layout import Address, Block, Instruction
from tinyseq.engine.plan.parts import Parts
from tinyseq.engine.plan.reads import Read
from tinyseq.engine.plan.sharing import Shares
from tinyseq.engine.plan.steps import Pack, Seed, Start, StartBack, Work
from tinyseq.engine.plan.tasks import Back
from tinyseq.ops.groups import CUTS


class Words:
    """Names and sentences for the parts of one plan."""

    def __init__(self, plan: Parts) -> None:
        self.plan, self.graph = plan, plan.graph
        self.shares = Shares(plan, 0, 1)
        every = [instruction for block in plan.blocks for instruction in block.instructions]
        self.makers = {  # of values, by their storage
            i.operands[0].storage.index: i.because.cls
            for i in every
            if isinstance(i.because, Work) and i.because.back is None
        }
        self.packed = {
            i.operands[0].storage.index: i.operands[1].storage.what for i in every if isinstance(i.because, Pack)
        }
        self.picked = {
            where.index: ", ".join(dict.fromkeys(s.what for s in storages)) for storages, where, _, _ in plan.pointers
        }
        self.recurring = {cls.index for part in self.graph.components if part.recurrent for cls in part.classes}

    # -- names
    @staticmethod
    def named(cls: Class) -> str:
        """The name a node was given, or its op."""
        return cls.name or cls.op

    @staticmethod
    def line(cls: Class | None) -> str:
        """Source file and line, where one is known."""
        return f"{cls.line[0].rsplit('/', 1)[-1]}:{cls.line[1]}" if cls is not None and cls.line[1] else ""

    def owner(self, instruction: Instruction) -> Class | None:
        """The node whose value or gradient an instruction writes, as the step says that it is part of."""
        match instruction.because:
            case StartBack(source=cls) | Work(cls=cls, back=None) | Start(cls=cls) | Pack(matmul=cls) | Seed(loss=cls):
                return cls
            case Work(back=Back(ref=Read() as ref)):
                return self.graph.classes[ref.sources()[0]]
            case Work(cls=cls):
                return cls
        return None

    def operand(self, address: Address, block: Block) -> str:
        """What an operand is called, with the steps it lies before or after where it recurs."""
        storage = address.storage
        name = self.packed.get(storage.index, storage.what)
        if (
            not block.recurrent
            or block.by_members
            or storage.space in ("leaf", "grads")
            or storage.index in self.packed
        ):
            return name
        return name + self.moment(self.shift(address))

    def shift(self, address: Address) -> int | None:
        """Members between this one and the one read; None where all read the same."""
        if address.vary is None:
            return 0 if self.one_level(address) else None
        coefficient, key = address.vary
        if key[0] == "rowstart":
            return int(key[2])
        return round(address.offset / coefficient) if coefficient and address.storage.space == "arena" else 0

    def one_level(self, address: Address) -> bool:
        layouts = (*self.plan.values.values(), *self.plan.gradients.values())
        return any(layout.storage is address.storage and layout.level for layout in layouts)

    @staticmethod
    def moment(shift: int | None) -> str:
        return "" if shift is None else ("(t)" if shift == 0 else f"(t{'+' if shift > 0 else '−'}{abs(shift)})")

    def sentence(self, instruction: Instruction, block: Block) -> str:
        """An instruction as an equation."""
        y, *rest = [self.operand(a, block) for a in instruction.operands if a.storage.what != "constants"]
        name = instruction.kernel.name
        sign = "+=" if self.adds(instruction) else "="
        match name:
            case "gemm_packed":
                if self.starts(instruction):
                    return f"{y} = {rest[2]} + {rest[0]} · {rest[1]}"
                return f"{y} {sign} {rest[0]} · {rest[1]}"
            case "weight_gradient":
                return f"{y} {sign} Σ {rest[1]} · {rest[0]}, a product of all rows at once"
            case "column_sum":
                return f"{y} {sign} Σ {rest[0]}, a sum over rows"
            case _ if name == "add_to" or name in CUTS:
                return f"{y} {sign} {rest[0]}"
            case "gather_rows" | "gather_integers":
                return f"{y} = rows of {self.picked[instruction.operands[2].storage.index]}, gathered by a list"
            case "scatter_rows":
                return f"{self.picked[instruction.operands[2].storage.index]} += {rest[0]}, row by row by a list"
            case "zero":
                return f"{y} = 0"
        op, _, position = name.partition("_vjp")
        if not position and "_vjp" not in name:
            return f"{y} {sign} {op}({', '.join(rest)})"
        return f"{y} {sign} what {rest[0]} passes back through {op}"

    @staticmethod
    def adds(instruction: Instruction) -> bool:
        """Whether an instruction adds to what is there."""
        slot = 1 + len(instruction.operands)
        return len(instruction.d) > slot and bool(instruction.d[slot]) and instruction.kernel.name != "pack"

    @staticmethod
    def starts(instruction: Instruction) -> bool:
        """Whether a product is added to something else than what is there."""
        own = instruction.operands[0] == instruction.operands[-1]
        return instruction.kernel.name == "gemm_packed" and bool(instruction.d[5]) and not own

    # -- numbers
    def members(self, instruction: Instruction, block: Block) -> int:
        """Members that an instruction runs over, in all levels of its block."""
        keys = [vary[1] for vary in instruction.vary.values()]
        keys += [address.vary[1] for address in instruction.operands if address.vary]
        groups = [self.graph.classes[key[1]].group.index if key[0].startswith("row") else key[1] for key in keys]
        return max((int(block.bounds[g][-1] - block.bounds[g][0]) for g in groups if g in block.bounds), default=1)

    def rows(self, instruction: Instruction, block: Block) -> int:
        """Rows of a product, in all levels of its block."""
        if 0 not in instruction.vary:
            return instruction.d[0] * block.levels
        coefficient, key = instruction.vary[0]
        return int(coefficient * self.shares.column(block, key).sum())

    def instructions(self) -> Iterator[tuple[Block, Instruction]]:
        for block in self.plan.blocks:
            for instruction in block.instructions:
                yield block, instruction
