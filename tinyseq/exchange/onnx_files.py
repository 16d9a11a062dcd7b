"""Nets as ONNX models."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tinyseq.exchange.net import Leaf, Net
from tinyseq.exchange.onnx_graph import OPSET, Graph, element, onnx_module
from tinyseq.exchange.sizes import Size


def model_of(net: Net, about: dict[str, Any]) -> Any:
    """The ONNX model of a net, checked; what is said about it is kept as JSON by name."""
    onnx = onnx_module()
    graph = Graph(net)
    for leaf in net.leaves:
        _leaf(graph, leaf)
    graph.write(net.body)
    outputs = []
    for name, value in net.outputs:
        own = name if name not in graph.taken else graph.fresh(name)
        graph.taken.add(own)
        graph.nodes.append(onnx.helper.make_node("Identity", [graph.name_of(value)], [own]))
        shape, dtype = net.shapes[value]
        outputs.append(onnx.helper.make_tensor_value_info(own, element(dtype), _axes(shape)))
    inputs = [onnx.helper.make_tensor_value_info(leaf.name, element(leaf.dtype), _axes(leaf.shape))
              for leaf in net.inputs()]  # fmt: skip
    arrays = [onnx.numpy_helper.from_array(array, name) for name, array in graph.arrays.items()]
    nodes = live([*graph.prelude, *graph.nodes], [o.name for o in outputs])
    made = onnx.helper.make_graph(nodes, net.name, inputs, outputs, _read(arrays, nodes))
    model = onnx.helper.make_model(
        made, opset_imports=[onnx.helper.make_opsetid("", OPSET)], producer_name="tinyseq", ir_version=9
    )
    onnx.helper.set_model_props(model, {name: json.dumps(value, allow_nan=False) for name, value in about.items()})
    onnx.checker.check_model(model, full_check=True)
    return model


def _leaf(graph: Graph, leaf: Leaf) -> None:
    if leaf.kind == "input":
        graph.taken.add(leaf.name)
        graph.names[leaf.out] = leaf.name
        return
    value = np.asarray(leaf.value)
    if leaf.kind == "parameter":
        held = graph.fresh(leaf.name or "parameter")
        graph.arrays[held] = value
    else:
        held = graph.array(value)
    fits = value.shape == tuple(leaf.shape)
    graph.names[leaf.out] = held if fits else graph.node("Expand", held, graph.shape(leaf.shape))


def _axes(shape: Any) -> list[Any]:
    return [str(n).replace(" ", "") if isinstance(n, Size) else n for n in shape]


def reads_of(node: Any) -> set[str]:
    """Names that a node reads, those that the body of a Scan reads from outside too."""
    found = set(node.input)
    for attribute in node.attribute:
        if attribute.name == "body":
            inside = {one.name for one in attribute.g.input}
            for inner in attribute.g.node:
                found |= reads_of(inner) - inside
                inside |= set(inner.output)
    return found


def live(nodes: list[Any], wanted: list[str]) -> list[Any]:
    """The nodes that the wanted names depend on, in their order."""
    needed, kept = set(wanted), []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed |= reads_of(node)
            kept.append(node)
    return kept[::-1]


def _read(arrays: list[Any], nodes: list[Any]) -> list[Any]:
    needed = set().union(*[reads_of(node) for node in nodes]) if nodes else set()
    return [array for array in arrays if array.name in needed]
