"""The equations of a net as LaTeX, read off its graph: a line for each value that has a name."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Any

from tinyseq.exchange.forms import form_of
from tinyseq.exchange.net import Loop, Net, Operation
from tinyseq.exchange.sizes import Value

ACCENTS = {"\u0303": r"\tilde", "\u0302": r"\hat", "\u0304": r"\bar"}
LETTERS = {
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\epsilon", "θ": r"\theta", "λ": r"\lambda",
    "μ": r"\mu", "σ": r"\sigma", "τ": r"\tau", "φ": r"\phi", "ψ": r"\psi", "ω": r"\omega", "ν": r"\nu", "ρ": r"\rho",
    "π": r"\pi", "Σ": r"\Sigma", "Λ": r"\Lambda", "Θ": r"\Theta", "Φ": r"\Phi", "Ω": r"\Omega", "′": "'",
}  # fmt: skip
LONGEST = 180  # characters of a formula without a name that is written where it is read
ATOM, PRODUCT, SUM = range(3)


class Formula(str):
    """A formula, and what binds its outermost parts: an atom or call, a product, a sum."""

    binds: int

    def __new__(cls, text: str, binds: int = ATOM) -> Formula:
        made = super().__new__(cls, text)
        made.binds = binds
        return made

    def within(self, binds: int) -> str:
        """The formula, in parentheses where it binds less than is asked for."""
        return rf"\left({self}\right)" if self.binds > binds else str(self)

    def with_below(self, text: str) -> Formula:
        """The formula with an index."""
        own = self.within(ATOM)
        return Formula(f"{{{own}}}_{{{text}}}" if "_" in own else f"{own}_{{{text}}}")

    def with_above(self, text: str) -> Formula:
        """The formula with an exponent."""
        own = self.within(ATOM)
        return Formula(f"{{{own}}}^{{{text}}}" if "^" in own else f"{own}^{{{text}}}")


def symbol(name: str) -> str:
    r"""A name as TeX writes it: ``W_f`` W_{f}, ``x̃`` \tilde{x}, ``L_total`` L_{\text{total}}."""
    head, _, below = name.partition("_")
    found = _letters(head)
    if not below:
        return found
    return f"{found}_{{{_letters(below)}}}"


def _letters(text: str) -> str:
    made = ""
    plain = unicodedata.normalize("NFD", text)
    for c in plain:
        if c in ACCENTS:
            made = f"{made[:-1]}{ACCENTS[c]}{{{made[-1:]}}}"
        else:
            made += LETTERS[c] + (" " if len(plain) > 1 else "") if c in LETTERS else c
    made = made.strip()
    if re.fullmatch(r"[A-Za-z]{2,}.*", made) or (" " in made and "\\" not in made):
        return rf"\mathrm{{{made}}}" if made.isidentifier() and made.isascii() else rf"\text{{{_escaped(made)}}}"
    return made if re.fullmatch(r"[\w\\{}' ,]+", made) else rf"\text{{{_escaped(made)}}}"


def _escaped(text: str) -> str:
    return re.sub(r"([#$%&_{}])", r"\\\1", text.replace("\\", r"\textbackslash "))


def _sum(sign: str) -> Any:
    def form(o: Operation, x: list[Formula]) -> Formula:
        second = x[1].within(SUM if sign == "+" else PRODUCT)
        if second.startswith("-"):
            return Formula(f"{x[0]} {'-' if sign == '+' else '+'} {second[1:]}", SUM)
        return Formula(f"{x[0]} {sign} {second}", SUM)

    return form


def _times(o: Operation, x: list[Formula]) -> Formula:
    return Formula(rf"{x[0].within(PRODUCT)} \odot {x[1].within(PRODUCT)}", PRODUCT)


def _matmul(o: Operation, x: list[Formula]) -> Formula:
    """Rows of the program are columns of the book: x Wᵀ is written W x."""
    a, b = (Formula(one.within(ATOM)) for one in x)
    flip_a, flip_b = o.attrs.get("transpose_a"), o.attrs.get("transpose_b")
    if flip_b and not flip_a and len(o.shape) == 2:
        return Formula(f"{b} {a}", PRODUCT)
    first, second = (one.with_above(r"\top") if flip else one for one, flip in ((a, flip_a), (b, flip_b)))
    return Formula(f"{first} {second}", PRODUCT)


def _affine(o: Operation, x: list[Formula]) -> Formula:
    k, c = o.attrs["k"], o.attrs["c"]
    term = f"{_plain(k)} {x[0].within(PRODUCT)}" if abs(k) != 1 else x[0].within(SUM if k == 1 else PRODUCT)
    term = f"-{term}" if k == -1 else term
    if not c:
        return Formula(term, x[0].binds if k == 1 else PRODUCT if k > 0 else SUM)
    if k < 0:
        return Formula(f"{_plain(c)} - {term[1:]}", SUM)
    return Formula(f"{term} {'+' if c > 0 else '-'} {_plain(abs(c))}", SUM)


def _plain(number: float) -> str:
    """A number as TeX writes it: powers of ten as such."""
    digits, _, power = f"{number:g}".partition("e")
    if not power:
        return {"inf": r"\infty", "-inf": r"-\infty", "nan": r"\text{NaN}"}.get(digits, digits)
    front = {"1": "", "-1": "-"}.get(digits, rf"{digits} \cdot ")
    return f"{front}10^{{{int(power)}}}"


def _call(name: str) -> Any:
    def form(o: Operation, x: list[Formula]) -> Formula:
        small = len(x) == 1 and x[0].binds == ATOM
        return Formula(f"{name}({x[0]})" if small else rf"{name}\left({', '.join(x)}\right)")

    return form


def _part(o: Operation, x: list[Formula]) -> Formula:
    return x[0].with_below(f"[{o.attrs['start']}:{o.attrs['stop']}]")


def _row(o: Operation, x: list[Formula]) -> Formula:
    return x[0].with_below(f"[{o.arg}]")


def _taken(o: Operation, x: list[Formula]) -> Formula:
    """A column of a matrix (a row of a table), by its number: the matrix times a one-hot vector."""
    return x[0].with_below(rf":,\,{x[1]}" if o.attrs.get("axis") else x[1])


def _same(o: Operation, x: list[Formula]) -> Formula:
    return x[0]


def _reduced(sign: str) -> Any:
    return lambda o, x: Formula(rf"{sign} {x[0].within(PRODUCT)}", PRODUCT)


def _joined(o: Operation, x: list[Formula]) -> Formula:
    return Formula(r"\left[" + r";\, ".join(x) + r"\right]")


def _number(o: Operation, x: list[Formula]) -> Formula:
    return Formula(_plain(o.attrs["value"]))


LATEX: dict[str, Any] = {
    "add": _sum("+"), "sub": _sum("-"), "mul": _times,
    "div": lambda o, x: Formula(rf"\frac{{{x[0]}}}{{{x[1]}}}"),
    "neg": lambda o, x: Formula(f"-{x[0].within(PRODUCT)}", SUM), "affine": _affine,
    "exp": _call(r"\exp"), "log": _call(r"\log"), "sqrt": lambda o, x: Formula(rf"\sqrt{{{x[0]}}}"),
    "power": lambda o, x: x[0].with_above(x[1]),
    "abs": lambda o, x: Formula(rf"\left|{x[0]}\right|"), "maximum": _call(r"\max"), "tanh": _call(r"\tanh"),
    "sigmoid": _call(r"\sigma"), "relu": _call(r"\operatorname{relu}"), "softplus": _call(r"\zeta"),
    "greater": lambda o, x: Formula(rf"\left[{x[0]} > {x[1]}\right]"),
    "where": lambda o, x: Formula(
        rf"\begin{{cases}} {x[1]} & {x[0]} \neq 0 \\ {x[2]} & \text{{else}} \end{{cases}}"
    ),
    "squared_error": lambda o, x: Formula(rf"\left({x[0]} - {x[1].within(PRODUCT)}\right)^2"),
    "bernoulli_cross_entropy": lambda o, x: Formula(
        rf"-{x[1].within(ATOM)} \log \sigma({x[0]}) - (1 - {x[1]}) \log(1 - \sigma({x[0]}))", SUM
    ),
    "detach": _same, "constant": _number, "take": _taken,
    "gather": lambda o, x: x[0].with_below(x[1]), "one_hot": _call(r"\operatorname{onehot}"),
    "softmax": _call(r"\operatorname{softmax}"), "log_softmax": _call(r"\log\operatorname{softmax}"),
    "cross_entropy": lambda o, x: Formula(rf"-\log \operatorname{{softmax}}({x[0]})_{{{x[1]}}}", PRODUCT),
    "matmul": _matmul, "sum": _reduced(r"\sum"), "mean": _call(r"\operatorname{mean}"), "max": _call(r"\max"),
    "norm": lambda o, x: Formula(rf"\left\|{x[0]}\right\|"), "reshape": _same, "expand": _same, "window": _same,
    "transpose": lambda o, x: x[0].with_above(r"\top"), "slice": _part, "index": _row,
    "concatenate": _joined, "stack": _joined,
    "sparse": lambda o, x: Formula(f"{x[1].within(ATOM)} {x[0].within(ATOM)}", PRODUCT),
    "steps_of": lambda o, x: Formula(rf"\left[t < {x[0]}\right]"),
}  # fmt: skip


def equations_of(net: Net) -> str:
    """The equations of a net: an ``align*`` for each of its loops and for what stands between them."""
    return "\n\n".join(_aligned(block) for block in Equations(net).blocks if block)


def _aligned(lines: list[str]) -> str:
    return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"


class Equations:
    """Lines of LaTeX, and how each value is written."""

    def __init__(self, net: Net) -> None:
        self.net, self.written = net, dict[Value, Formula]()
        self.counts: Counter[str] = Counter()
        self.called: dict[Value, str] = {}  # states without a name
        self.uses: Counter[Value] = Counter(value for _, value in net.outputs)
        self._count(net.body)
        for name, value in net.outputs:
            self.called.setdefault(value, symbol(name))
        self.starts = {value for item in net.body if isinstance(item, Loop) for value in item.initial}
        self.blocks: list[list[str]] = []
        for leaf in net.leaves:
            name = leaf.symbol or leaf.name
            self.written[leaf.out] = Formula(symbol(name) if name else self._auxiliary())
        here: list[str] = []
        for item in net.body:
            if isinstance(item, Operation):
                here += self._operation(item, "^{(0)}" if item.out in self.starts else "")
                continue
            self.blocks += [here, self._loop(item)]
            here = []
        self.blocks.append(here)

    def _count(self, items: list[Any]) -> None:
        for item in items:
            if isinstance(item, Operation):
                self.uses.update(item.reads)
                continue
            self._count(item.body)
            self.uses.update(v for v, _ in item.sequences)
            self.uses.update(item.initial)
            self.uses.update([*item.after, *[inner for inner, _ in item.outputs]] * 2)

    def _auxiliary(self) -> str:
        self.counts["z"] += 1
        return f"z_{{{self.counts['z']}}}"

    def _operation(self, o: Operation, time: str) -> list[str]:
        form = form_of(o, "latex")
        reads = [self.written[value] for value in o.reads]
        made = Formula(form.format(*reads)) if isinstance(form, str) else form(o, reads)
        made = made if isinstance(made, Formula) else Formula(made, SUM)
        same = made in reads  # repeated along axes, or in another shape
        short = same or not o.reads or (self.uses[o.out] == 1 and len(made) <= LONGEST)
        if short and not o.name and o.out not in self.called:
            self.written[o.out] = made
            return []
        name = Formula((symbol(o.name) if o.name else self.called.get(o.out) or self._auxiliary()) + time)
        self.written[o.out] = name
        return [f"{name} &= {made}"]

    def _loop(self, loop: Loop) -> list[str]:
        states = self._states(loop)
        for outer, inner in loop.sequences:
            self.written[inner] = Formula(self._timeless(self.written[outer]) + "^{(t)}")
        lines = [line for o in loop.body for line in self._operation(o, "^{(t)}")]
        made = {o.out for o in loop.body}
        for after, name in zip(loop.after, states, strict=True):
            if name and after not in made:  # a row of an input, or what is the same at all steps
                lines.append(f"{name}^{{(t)}} &= {self.written[after]}")
        for inner, outer in loop.outputs:
            self.written[outer] = self._whole(self.written[inner])
        for s, value in loop.finals:
            last = "1" if loop.backwards else r"\tau"
            name = states[int(s)]
            self.written[value] = Formula(f"{name}^{{({last})}}") if name else self.written[loop.initial[int(s)]]
        return lines

    def _states(self, loop: Loop) -> list[str]:
        """What each state is called, "" where it only hands on another or is the same at all steps."""
        sign = "+" if loop.backwards else "-"
        named = {o.out: o.name for o in loop.body}
        slots = {v: (s, int(d)) for row, d in zip(loop.before, loop.delays, strict=True) for s, v in enumerate(row)}
        states = []
        for after in loop.after:
            if after not in slots and not named.get(after) and after not in self.called:
                self.called[after] = self._auxiliary()
            states.append("" if after in slots else symbol(named[after]) if named.get(after) else self.called[after])
        for value, (s, delay) in slots.items():
            passed: set[int] = set()
            while loop.after[s] in slots and s not in passed:  # handed on by an earlier step
                passed.add(s)
                s, more = slots[loop.after[s]]
                delay += more
            before = Formula(f"{states[s]}^{{(t {sign} {delay})}}")
            self.written[value] = self.written[loop.initial[s]] if s in passed else before  # passed: it never changes
        return states

    def _timeless(self, formula: Formula) -> str:
        text = formula.removesuffix("^{(t)}")
        return text if formula.binds == ATOM else rf"\left({text}\right)"

    def _whole(self, formula: Formula) -> Formula:
        """A value of all time steps."""
        return Formula(self._timeless(formula))
