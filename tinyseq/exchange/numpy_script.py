"""A ``Net`` as a script that needs NumPy alone: its weights, and a function that runs it forward."""

from __future__ import annotations

import base64
import keyword
import re
from collections import Counter
from typing import Any

import numpy as np

from tinyseq.exchange.forms import form_of
from tinyseq.exchange.net import Leaf, Loop, Net, Operation
from tinyseq.exchange.numpy_forms import HELPERS
from tinyseq.exchange.onnx_graph import unrepeated
from tinyseq.exchange.reading import free_sizes
from tinyseq.exchange.sizes import Size, Value

INLINE = 90  # characters of an expression that is written where it is read, if it has no name and one reader

HEAD = '''"""{title}, as tinyseq wrote it: {call} runs it forward. Needs NumPy alone.

{inputs}
"""

import base64
import sys

import numpy as np


def array(dtype, shape, text):
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)

'''

TAIL = """

if __name__ == "__main__":  # python this.py {files} y.npy
    *given, target = sys.argv[1:]
    found = run(*[np.load(path) for path in given])
    np.save(target, found[0] if isinstance(found, tuple) else found)
"""


def script_of(net: Net) -> str:
    """The script of a net, as text."""
    return Script(net).text()


class Script:
    """Lines of Python, with a name for each value."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.sources: dict[Value, Operation] = {}
        self.taken = {"np", "base64", "sys", "array", "run", "t", *HELPERS, *keyword.kwlist, *free_sizes(net)}
        self.written: dict[Value, str] = {}  # how a value is read
        self.reads: dict[Value, list[Value]] = {}
        self.uses: Counter[Value] = Counter()
        self.lines: list[str] = []
        self._count(net.body)
        self.uses.update(value for _, value in net.outputs)

    def _count(self, items: list[Any]) -> None:
        """How often each value is read; what is read inside a loop from outside counts twice, so it gets a name."""
        for item in items:
            if isinstance(item, Operation):
                self.sources[item.out] = item
                self.reads[item.out] = unrepeated(item, self.sources, self.net)
                continue
            self._count(item.body)
            inside = {o.out for o in item.body} | {inner for _, inner in item.sequences}
            for o in item.body:
                self.uses.update(value for value in self.reads[o.out] if value not in inside)
            for value in [*item.initial, *[v for v, _ in item.sequences], *item.after, *[v for v, _ in item.outputs]]:
                self.uses[value] += 2
        live = self._live(items)
        for out in live:
            self.uses.update(self.reads[out])

    def _live(self, items: list[Any]) -> list[Value]:
        own = [item for item in items if isinstance(item, Operation)]
        return [o.out for o in own]

    def name(self, wanted: str) -> str:
        """A name of Python that nothing has."""
        base = re.sub(r"\W+", "_", wanted).strip("_") or "v"
        base = base if base.isidentifier() else f"v_{base}"
        found, count = base, 1
        while found in self.taken:
            count += 1
            found = f"{base}_{count}"
        self.taken.add(found)
        return found

    def shape(self, shape: Any) -> str:
        """A shape as a tuple of Python."""
        return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"

    # -- parts
    def text(self) -> str:
        """The whole script."""
        arrays = [self._array(leaf) for leaf in self.net.leaves if leaf.kind != "input"]
        inputs = self.net.inputs()
        for leaf in inputs:
            self.written[leaf.out] = self.name(leaf.name)
        body = self._body()
        given = ", ".join(self.written[leaf.out] for leaf in inputs)
        told = "\n".join(f"{self.written[x.out]}  {x.dtype}, {self.shape(x.shape)}" for x in inputs)
        head = HEAD.format(title=self.net.name, call=f"run({given})", inputs=told)
        used = {name for name in HELPERS if any(f"{name}(" in line for line in body)}
        used |= {"softmax"} & used
        helpers = "".join(f"\n{HELPERS[name]}\n\n" for name in HELPERS if name in used)
        files = " ".join(f"{self.written[leaf.out]}.npy" for leaf in inputs)
        lines = [f"def run({given}):", *[f"    {line}" for line in body]]
        constants = "\n".join(arrays) + "\n\n\n" if arrays else "\n"
        return "".join([head, helpers, "\n", constants, "\n".join(lines), "\n", TAIL.format(files=files)])

    def _array(self, leaf: Leaf) -> str:
        value = np.asarray(leaf.value)
        self.written[leaf.out] = own = self.name(leaf.name.replace(".", "_") or "constant")
        little = value.astype(value.dtype.newbyteorder("<"), copy=False)
        text = base64.b64encode(little.tobytes()).decode()
        if value.shape != tuple(leaf.shape):  # it repeats along sizes that only ``run`` knows
            self.uses[leaf.out] += 2
            self.repeated = [*getattr(self, "repeated", []), (leaf, own)]
        return f'{own} = array("{little.dtype.str}", {value.shape}, "{text}")'

    def _body(self) -> list[str]:
        lines = []
        for name in free_sizes(self.net):
            own = Size({(name,): 1})
            leaf = next(leaf for leaf in self.net.inputs() if own in leaf.shape)
            lines.append(f"{name} = {self.written[leaf.out]}.shape[{leaf.shape.index(own)}]")
        for leaf, own in getattr(self, "repeated", []):
            self.written[leaf.out] = self.name(own)
            lines.append(f"{self.written[leaf.out]} = np.broadcast_to({own}, {self.shape(leaf.shape)})")
        for item in self.net.body:
            lines += self._loop(item) if isinstance(item, Loop) else self._operation(item)
        made = [self.written[value] for _, value in self.net.outputs]
        return [*lines, f"return {', '.join(made)}"]

    def _operation(self, o: Operation) -> list[str]:
        if not self.uses[o.out]:
            return []
        form = form_of(o, "numpy")
        reads = [self.written[value] for value in self.reads[o.out]]
        text = form.format(*reads) if isinstance(form, str) else form(o, reads, self.shape)
        if not o.name and self.uses[o.out] == 1 and len(text) <= INLINE:
            self.written[o.out] = text
            return []
        self.written[o.out] = self.name(o.name or "v")
        return [f"{self.written[o.out]} = {_bare(text)}"]

    def _loop(self, loop: Loop) -> list[str]:
        deepest = max((int(d) for d in loop.delays), default=1)
        lines, states, named = [], [], {o.out: o.name for o in loop.body}
        for s, value in enumerate(loop.initial):
            own = self.name(f"{named.get(loop.after[s]) or 'state'}_before")
            states.append(own)
            start = self.written[value]
            lines.append(f"{own} = {start}" if deepest == 1 else f"{own} = [{start}] * {deepest}")
            for row, delay in zip(loop.before, loop.delays, strict=True):
                self.written[row[s]] = own if deepest == 1 else f"{own}[-{int(delay)}]"
        lists = []
        for inner, _ in loop.outputs:
            lists.append(self.name(f"{named.get(inner) or 'y'}_steps"))
            lines.append(f"{lists[-1]} = []")
        times = f"reversed(range({loop.steps}))" if loop.backwards else f"range({loop.steps})"
        lines.append(f"for t in {times}:  # {loop.cell}")
        inside = []
        for outer, inner in loop.sequences:
            self.written[inner] = self.name(f"{self.written[outer]}_t")
            inside.append(f"{self.written[inner]} = {self.written[outer]}[t]")
        for o in loop.body:
            inside += self._operation(o)
        inside += [
            f"{kept}.append({self.written[inner]})" for kept, (inner, _) in zip(lists, loop.outputs, strict=True)
        ]
        after = [self.written[value] for value in loop.after]
        if deepest == 1 and states:
            inside.append(f"{', '.join(states)} = {', '.join(after)}")
        else:
            made = [f"{own}[1:] + [{new}]" for own, new in zip(states, after, strict=True)]
            inside += [f"{', '.join(states)} = {', '.join(made)}"] if states else []
        lines += [f"    {line}" for line in inside]
        for kept, (_, outer) in zip(lists, loop.outputs, strict=True):
            self.written[outer] = self.name(kept.removesuffix("_steps"))
            lines.append(f"{self.written[outer]} = np.stack({kept}{'[::-1]' if loop.backwards else ''})")
        for s, value in loop.finals:
            self.written[value] = states[int(s)] if deepest == 1 else f"{states[int(s)]}[-1]"
        return lines


def _bare(text: str) -> str:
    """An expression without parentheses around all of it."""
    depth = 0
    for place, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0 and place < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text
