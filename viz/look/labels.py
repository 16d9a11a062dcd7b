"""Labels: names set as the book sets them (h with superscript (t), W with subscript), safe in DOT and in SVG."""

from __future__ import annotations

import re
from typing import NamedTuple

from tinyseq.viz.look import style

ITALIC, UPRIGHT, SUPER, SUB = "italic", "upright", "super", "sub"
LONGEST = 28
ACCENTS = {"tilde": "\u0303", "hat": "\u0302", "bar": "\u0304", "dot": "\u0307", "vec": "\u20d7", "check": "\u030c"}
GREEK = dict(
    zip(
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "epsilon",
            "zeta",
            "eta",
            "theta",
            "iota",
            "kappa",
            "lambda",
            "mu",
            "nu",
            "xi",
            "omicron",
            "pi",
            "rho",
            "sigma",
            "tau",
            "upsilon",
            "phi",
            "chi",
            "psi",
            "omega",
        ],
        "αβγδεζηθικλμνξοπρστυφχψω",
        strict=True,
    )
)
GREEK |= {word.capitalize(): letter.upper() for word, letter in GREEK.items()}
_COMMAND = re.compile(r"\\([A-Za-z]+)\s*(?:\{([^{}]*)\}|(?=([^\W\d_])))?")
_SYMBOL = re.compile(
    r"([^\W\d_][\u0300-\u036f\u20d7]?)(?:_?([0-9]{1,4})|_([^\W_]{1,12})|_\{([^{}]{1,16})\})?(['′]{0,3})"
)


_UNCLEAN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Run(NamedTuple):
    """A piece of text in one style."""

    text: str
    style: str = UPRIGHT


Label = tuple[Run, ...]


def clean(text: str) -> str:
    """Text that every format can hold: line ends become ↵, control characters their pictures, long text is cut."""
    if not _UNCLEAN.search(text):
        return text
    text = text.replace("\r\n", "\n")
    out = []
    for c in text:
        code = ord(c)
        if c == "\n":
            out.append("↵")
        elif code < 0x20 or code == 0x7F:
            out.append(chr(0x2400 + code) if code < 0x20 else "␡")
        elif 0xD800 <= code < 0xE000 or code in (0xFFFE, 0xFFFF) or 0x80 <= code < 0xA0:
            out.append("\N{REPLACEMENT CHARACTER}")
        else:
            out.append(c)
    return "".join(out)


def shorten(text: str, longest: int = LONGEST) -> str:
    """Text cut to a length that fits a node."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def spelled(text: str) -> str:
    """TeX's commands for Greek letters and accents as characters: \\alpha is α, \\tilde h is h with a tilde."""

    def command(match: re.Match[str]) -> str:
        word, inside, following = match.group(1), match.group(2), match.group(3)
        if word in GREEK:
            return GREEK[word] + (f"{{{inside}}}" if inside is not None else "")
        if word in ACCENTS and inside:
            return f"{inside[:1]}{ACCENTS[word]}{inside[1:]}"
        return f"\0{ACCENTS[word]}" if word in ACCENTS and following else match.group(0)

    text = _COMMAND.sub(command, text)
    return re.sub("\0(.)(.)", r"\2\1", text)


def name(text: str) -> Label:
    """A name: one letter is a symbol in italics, its number or word a subscript; other names stay as they are.

    As in TeX, W_{xh} has all of xh as its subscript, \\tilde h a tilde, \\alpha is α.
    """
    match = _SYMBOL.fullmatch(spelled(text) if "\\" in text else text)
    if match is None:
        return (Run(shorten(clean(text))),)
    sub = match.group(2) or match.group(3) or match.group(4)
    primes = len(match.group(5))
    prime = (Run("′" * primes),) if primes else ()
    return (Run(match.group(1), ITALIC), *((Run(spelled(sub), SUB),) if sub else ()), *prime)


def cell(text: str, letters: int) -> str:
    """The name of a cell as it is read: ← before that of one whose time runs back."""
    backwards = text.endswith("_backward")
    return "← " * backwards + shorten(clean(text).removesuffix("_backward"), letters)


def at_time(label: Label, time: str) -> Label:
    """The label with a time step as superscript."""
    return (*label, Run(f"({time})", SUPER))


def names(texts: tuple[str, ...]) -> Label:
    """Several names in a row; of more than three the first two."""
    runs: list[Run] = []
    shown = texts if len(texts) <= 3 else texts[:2]
    for place, text in enumerate(shown):
        runs.extend([Run(", ")] if place else [])
        runs.extend(name(text))
    if len(texts) > len(shown):
        runs.append(Run(f" +{len(texts) - len(shown)}"))
    return tuple(runs)


def text_of(label: Label) -> str:
    """A label as plain text."""
    return "".join(run.text for run in label)


def width(label: Label, size: float = style.LABEL_SIZE) -> float:
    """Rough width of a label in points."""
    small = script_size(size)
    return sum(style.text_width(run.text, small if run.style in (SUPER, SUB) else size) for run in label)


def script_size(size: float) -> float:
    """Size of super- and subscripts; never too small to read."""
    return max(size * style.SCRIPT_SIZE / style.LABEL_SIZE, 7.0)


def shape(sizes: tuple[int, ...]) -> str:
    """A shape as 32×128."""
    return "×".join(map(str, sizes)) if sizes else "scalar"


# -- escaping ---------------------------------------------------------------------------------------------------------
def html(text: str) -> str:
    """Text inside an HTML-like label. A backslash is doubled: Graphviz expands \\N and \\G there too."""
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("\\", "\\\\")


def plain(text: str) -> str:
    """Text of a plain attribute, before the quoting that the graphviz package does."""
    return clean(text).replace("\\", "\\\\")


def html_label(
    label: Label, note: str = "", size: float = style.LABEL_SIZE, colour: str = style.INK, muted: str = style.MUTED
) -> str:
    """An HTML-like label for DOT: the runs, and under them a small note."""
    small = script_size(size)
    math = any(run.style == ITALIC for run in label)
    pieces = [_html_run(run, small, math) for run in label]
    out = ""
    if label:
        face = style.MATH_FONT if math else style.TEXT_FONT
        out = f'<FONT FACE="{face}" POINT-SIZE="{size:g}" COLOR="{colour}">{"".join(pieces)}</FONT>'
    if note:
        space = 4.5 if any(run.style == SUB for run in label) else 2
        out += f'<BR/><FONT POINT-SIZE="{space:g}"> <BR/></FONT>' if out else ""
        out += f'<FONT FACE="{style.TEXT_FONT}" POINT-SIZE="{style.NOTE_SIZE:g}" COLOR="{muted}">{html(note)}</FONT>'
    return f"<{out}>" if out else ""


def grid_label(label: str, rows: int, columns: int) -> str:
    """An HTML-like label over a grid of empty cells."""
    size = f'WIDTH="{style.GRID_CELL:g}" HEIGHT="{style.GRID_CELL:g}"'
    cell = f'<TD BORDER="1" BGCOLOR="{style.PAPER}" {size} FIXEDSIZE="TRUE"></TD>'
    head = f'<TR><TD COLSPAN="{columns}">{label[1:-1]}</TD></TR>'
    lines = f"<TR>{cell * columns}</TR>" * rows
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLPADDING="0" CELLSPACING="{style.GRID_GAP:g}">{head}{lines}</TABLE>>'


_TIMES = re.compile(r"(?<![^\W\d_])([tTτnmijk])(?![^\W\d_])")


def script(text: str) -> list[tuple[str, bool]]:
    """A script in pieces: (text, whether it is a symbol): t, τ and n are set in italics, as everywhere."""
    return [(piece, bool(n % 2)) for n, piece in enumerate(_TIMES.split(text)) if piece]


def _html_run(run: Run, small: float, math: bool) -> str:
    text = html(run.text)
    if run.style in (SUPER, SUB):
        text = "".join(f"<I>{html(piece)}</I>" if symbol else html(piece) for piece, symbol in script(run.text))
    if run.style == ITALIC:
        return f"<I>{text}</I>"
    if run.style in (SUPER, SUB):
        tag = "SUP" if run.style == SUPER else "SUB"
        hair = "\N{HAIR SPACE}" if run.style == SUPER else ""
        face = "" if math else f'FACE="{style.MATH_FONT}" '  # scripts of words are set as those of symbols
        return f'<{tag}><FONT {face}POINT-SIZE="{small:g}">{hair}{text}</FONT></{tag}>'
    return text
