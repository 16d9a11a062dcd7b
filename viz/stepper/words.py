"""Ops in words and symbols: the equation of each, and what each backward step multiplies by.

In the templates {a} {b} {c} are the inputs, {y} the output, {k} {k0} attributes; the page puts names in, and then
numbers. An op that is missing here is shown by its own ``equation``; a test says which are.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """Right side of y = …, and ∂y/∂(each input) as a template (None: no gradient passes)."""

    value: str
    partials: tuple[str | None, ...] = ()


WORDS: dict[str, Words] = {
    "add": Words("{a} + {b}", ("1", "1")),
    "sub": Words("{a} − {b}", ("1", "−1")),
    "mul": Words("{a} ⊙ {b}", ("{b}", "{a}")),
    "div": Words("{a} / {b}", ("1 / {b}", "−{y} / {b}")),
    "neg": Words("−{a}", ("−1",)),
    "affine": Words("{k} {a} + {k0}", ("{k}",)),
    "exp": Words("exp {a}", ("{y}",)),
    "log": Words("log {a}", ("1 / {a}",)),
    "sqrt": Words("√{a}", ("1 / (2 {y})",)),
    "power": Words("{a} ^ {b}", ("{b} · {a} ^ ({b} − 1)", "{y} · log {a}")),
    "abs": Words("|{a}|", ("sign {a}",)),
    "maximum": Words("max({a}, {b})", ("1 if {a} > {b} else 0", "1 if {b} > {a} else 0")),
    "tanh": Words("tanh {a}", ("1 − {y}²",)),
    "sigmoid": Words("σ({a})", ("{y} (1 − {y})",)),
    "relu": Words("max({a}, 0)", ("1 if {a} > 0 else 0",)),
    "softplus": Words("log(1 + exp {a})", ("σ({a})",)),
    "greater": Words("1 if {a} > {b} else 0", (None, None)),
    "where": Words("{b} if {a} ≠ 0 else {c}", (None, "1 if {a} ≠ 0 else 0", "1 if {a} = 0 else 0")),
    "squared_error": Words("({a} − {b})²", ("2 ({a} − {b})", "2 ({b} − {a})")),
    "bernoulli_cross_entropy": Words("log(1 + exp {a}) − {b} {a}", ("σ({a}) − {b}", "−{a}")),
    "detach": Words("{a}, and no gradient passes", (None,)),
    "take": Words("rows {b} of {a}", ("g, added to the rows that were read", None)),
    "gather": Words("{a}[r, {b}[r]]", ("g, at the places that were read", None)),
    "one_hot": Words("1 at {a}, else 0", (None,)),
    "matmul": Words("{a} · {b}", ("{b}", "{a}")),
    "sparse": Words("{b} · {a}, {b} sparse", ("{b}ᵀ", "{a}, at the places that are kept", None, None)),
    "softmax": Words("softmax {a}", ("diag({y}) − {y} {y}ᵀ",)),
    "log_softmax": Words("{a} − log Σ exp {a}", ("I − 1 softmax({a})ᵀ",)),
    "cross_entropy": Words("−log softmax({a})[{b}]", ("softmax({a}) − onehot({b})", None)),
    "sum": Words("Σ {a}", ("1 for every summand",)),
    "mean": Words("mean of {a}", ("1/n for every one of n",)),
    "max": Words("max {a}", ("1 at the largest, else 0",)),
    "norm": Words("‖{a}‖", ("{a} / {y}",)),
    "reshape": Words("{a}, in another shape", ("the same numbers, moved back",)),
    "transpose": Words("{a}, axes in another order", ("the same numbers, moved back",)),
    "expand": Words("{a}, repeated", ("1 for every copy: they are summed",)),
    "slice": Words("a part of {a}", ("1 for the part, 0 elsewhere",)),
    "index": Words("{a}[{i}]", ("1 for the row that was read, 0 elsewhere",)),
    "window": Words("{a}[{i}:]", ("1 for the rows that were read, 0 elsewhere",)),
    "concatenate": Words("[{all}]", ("1 for its own part",)),
    "stack": Words("stack of {all}", ("1 for its own row",)),
}
