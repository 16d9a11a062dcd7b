"""A ``Net`` as a graph of ONNX: an operation is a node or a few, a loop over time one Scan."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.exchange import onnx_standard
from tinyseq.exchange.forms import broadcasts, form_of, repeats
from tinyseq.exchange.net import Leaf, Loop, Net, Operation, is_fixed
from tinyseq.exchange.sizes import Size, Value

OPSET = 18


def onnx_module() -> Any:
    """The package ``onnx``. Raises TinyseqError that says how to install it."""
    try:
        import onnx
    except ImportError as error:
        raise TinyseqError("ONNX files are written by the package onnx: pip install 'tinyseq[onnx]'") from error
    return onnx


class Graph:
    """The nodes of one graph, in order; the body of a Scan has an outer one, whose names it may read."""

    def __init__(self, net: Net, outer: Graph | None = None) -> None:
        self.net, self.outer = net, outer
        self.root: Graph = self if outer is None else outer.root
        self.helper = onnx_module().helper
        self.nodes: list[Any] = []
        self.names: dict[Value, str] = {}
        if outer is None:
            self.prelude: list[Any] = []  # sizes, which all later nodes may read
            self.arrays: dict[str, np.ndarray] = {}
            self.taken: set[str] = set()
            self.same: dict[tuple, str] = {}
            self.sizes: dict[Any, str] = {}
            self.leaves = {leaf.out: leaf for leaf in net.leaves}
            self.sources: dict[Value, Operation] = {}

    # -- names
    def fresh(self, wanted: str) -> str:
        """A name that nothing has."""
        name, count = wanted, 1
        while name in self.root.taken:
            count += 1
            name = f"{wanted}_{count}"
        self.root.taken.add(name)
        return name

    def name_of(self, value: Value) -> str:
        """The name of a value, of this graph or of one around it."""
        found = self.names.get(value)
        if found is not None:
            return found
        assert self.outer is not None, value
        return self.outer.name_of(value)

    # -- what forms write with
    def node(self, kind: str, *reads: str, **attributes: Any) -> str:
        """Add a node with one output; returns its name."""
        return self.nodes_of(self.nodes, kind, reads, attributes)

    def nodes_of(self, where: list[Any], kind: str, reads: tuple[str, ...], attributes: dict[str, Any]) -> str:
        """Add a node to a list."""
        if isinstance(attributes.get("to"), str):
            attributes["to"] = element(attributes["to"])
        out = self.fresh(kind.lower())
        where.append(self.helper.make_node(kind, list(reads), [out], **attributes))
        return out

    def array(self, value: Any, dtype: Any = None) -> str:
        """A constant array, kept once."""
        array = np.asarray(value, dtype)
        key, root = (array.dtype.str, array.shape, array.tobytes()), self.root
        if key not in root.same:
            root.same[key] = self.fresh("c")
            root.arrays[root.same[key]] = array
        return root.same[key]

    def shape(self, shape: Any) -> str:
        """A shape, of which sizes may be free, as a vector of int64."""
        if is_fixed(shape):
            return self.array(list(shape), "int64")
        key, root = tuple(shape), self.root
        if key not in root.sizes:
            parts = [root.size(n) if isinstance(n, Size) else root.array([n], "int64") for n in shape]
            one = parts[0] if len(parts) == 1 else root.nodes_of(root.prelude, "Concat", tuple(parts), {"axis": 0})
            root.sizes[key] = one
        return root.sizes[key]

    def size(self, size: Size) -> str:
        """A size as a vector of one number."""
        if size in self.sizes:
            return self.sizes[size]
        total = None
        for names, count in size.terms.items():
            term = None if names and count == 1 else self.array([count], "int64")
            for name in names:
                axis = self.axis(name)
                term = axis if term is None else self.nodes_of(self.prelude, "Mul", (term, axis), {})
            assert term is not None
            total = term if total is None else self.nodes_of(self.prelude, "Add", (total, term), {})
        assert total is not None
        self.sizes[size] = total
        return total

    def axis(self, name: str) -> str:
        """A size by its name, from the first input that has it as an axis."""
        key = ("axis", name)
        if key not in self.sizes:
            own = Size({(name,): 1})
            leaf, place = next((leaf, leaf.shape.index(own)) for leaf in self.net.inputs() if own in leaf.shape)
            ends = {"start": place, "end": place + 1}
            self.sizes[key] = self.nodes_of(self.prelude, "Shape", (self.names[leaf.out],), ends)
        return self.sizes[key]

    def known(self, operation: Operation, position: int) -> np.ndarray | None:
        """The array that an operation reads, where it is one of the leaves."""
        leaf: Leaf | None = self.root.leaves.get(operation.reads[position])
        return None if leaf is None else leaf.value

    # -- the net
    def write(self, items: list[Any]) -> None:
        """Add operations and loops."""
        for item in items:
            if isinstance(item, Loop):
                self.loop(item)
            else:
                self.operation(item)

    def operation(self, o: Operation) -> None:
        """Add what an operation is in ONNX."""
        form = form_of(o, "onnx")
        self.root.sources[o.out] = o
        reads = [self.name_of(value) for value in self.unrepeated(o)]
        made = self.node(form, *reads) if isinstance(form, str) else form(self, o, reads)
        self.names[o.out] = made

    def unrepeated(self, o: Operation) -> list[Value]:
        """What an operation reads, without the repeating of axes that ONNX does by itself."""
        return unrepeated(o, self.root.sources, self.net)

    def loop(self, loop: Loop) -> None:
        """Add the operator that a loop is, or a Scan."""
        found = onnx_standard.matched(loop, self.net, self.root.leaves)
        if found is None:
            self.scan(loop)
        else:
            onnx_standard.write(self, loop, found)

    def scan(self, loop: Loop) -> None:
        """Add a Scan."""
        body = Graph(self.net, self)
        deepest = max((int(d) for d in loop.delays), default=1)
        inputs, reads, carried = [], [], []
        for s, value in enumerate(loop.initial):  # each state by how long ago it was: 1 … deepest steps
            line = [self.fresh(f"state{s}_{d + 1}") for d in range(deepest)]
            carried.append(line)
            for name in line:
                inputs.append(self.info(name, value))
                reads.append(self.name_of(value))
            for row, delay in zip(loop.before, loop.delays, strict=True):
                body.names[row[s]] = line[int(delay) - 1]
        for outer, inner in loop.sequences:
            body.names[inner] = self.fresh("x_t")
            inputs.append(self.info(body.names[inner], inner))
            reads.append(self.name_of(outer))
        count = len(loop.sequences)
        if not count:  # a Scan counts by its rows
            steps = self.node("Squeeze", self.shape((loop.steps,)))
            reads.append(self.node("Range", self.array(0, "int64"), steps, self.array(1, "int64")))
            inputs.append(self.helper.make_tensor_value_info(self.fresh("t"), element("int64"), []))
            count = 1
        body.write(loop.body)
        outputs, made = [], []
        for line, after in zip(carried, loop.after, strict=True):
            for name, value in [(body.name_of(after), after), *[(earlier, after) for earlier in line[:-1]]]:
                own = body.node("Identity", name)
                outputs.append(self.info(own, value))
                made.append(self.fresh("final"))
        for inner, outer in loop.outputs:
            own = body.node("Identity", body.name_of(inner))
            outputs.append(self.info(own, inner))
            self.names[outer] = self.fresh("steps")
            made.append(self.names[outer])
        graph = self.helper.make_graph(body.nodes, self.fresh(plain(loop.cell) or "step"), inputs, outputs)
        directions = {"scan_input_directions": count, "scan_output_directions": len(loop.outputs)}
        back = {key: [1] * n for key, n in directions.items() if n} if loop.backwards else {}
        name = self.fresh(f"scan_{plain(loop.cell)}")
        self.nodes.append(self.helper.make_node("Scan", reads, made, name, body=graph, num_scan_inputs=count, **back))
        for s, value in loop.finals:
            self.names[value] = made[int(s) * deepest]

    def info(self, name: str, value: Value) -> Any:
        """Name, dtype and number of axes of a value inside a Scan."""
        shape, dtype = self.net.shapes[value]
        axes = [None if isinstance(n, Size) else n for n in shape]
        return self.helper.make_tensor_value_info(name, element(dtype), axes)


def unrepeated(o: Operation, sources: dict[Value, Operation], net: Net) -> list[Value]:
    """What an operation reads; where one operand has the whole shape, the others as they were before ``expand``."""
    reads = list(o.reads)
    if not broadcasts(o.op):
        return reads
    short = [value in sources and repeats(sources[value].op) for value in reads]
    if all(short):
        short[0] = False
    for place, value in enumerate(reads):
        if short[place]:
            source = sources[value].reads[0]
            if len(net.shapes[source][0]) <= len(o.shape):
                reads[place] = source
    return reads


def plain(text: str) -> str:
    """Text as part of a name."""
    return re.sub(r"\W+", "_", text)


def element(dtype: str) -> int:
    """The number that ONNX gives a dtype."""
    proto = onnx_module().TensorProto
    return {"float32": proto.FLOAT, "float64": proto.DOUBLE, "int64": proto.INT64, "bool": proto.BOOL}[dtype]
