"""All figures on one page that needs no network: equation, code and picture side by side."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping
from typing import Any

LARGE = 300_000  # characters of SVG beyond which a plot is shown as PNG
_TIMED = re.compile(r"(?<![\w̃])([^\W\d_]̃?′?)((?:_[a-z])?)\(((?:[tτijmn][+−]?\d?|\d|…)(?:, …)?)\)")
_SUB = re.compile(r"_([^\W_]+)")

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --muted: #5f6670; --rule: #d9dce0;
        --code: #f4f5f7; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --paper: #14171c; --muted: #a4abb5; --rule: #333a44; --code: #1d2128; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 92rem; padding: 2rem 1.5rem; background: var(--paper); color: var(--ink);
       font: 16px/1.5 system-ui, sans-serif; }
h1 { font-weight: 600; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 0 0 .75rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem .75rem; margin: 1rem 0 2rem; }
a { color: #0072b2; } @media (prefers-color-scheme: dark) { a { color: #56b4e9; } }
p.lead { color: var(--muted); margin: 0; max-width: 48rem; }
section { border-top: 1px solid var(--rule); padding: 1.5rem 0; }
.row { display: grid; grid-template-columns: minmax(0, 36rem) minmax(0, 1fr); gap: 1.5rem; align-items: start; }
@media (max-width: 70rem) { .row { grid-template-columns: minmax(0, 1fr); } }
.equation { font: italic 1.05rem/1.7 Times, serif; margin: 0 0 1rem; overflow-x: auto; white-space: pre; }
.equation sup, .equation sub { font-size: .68em; line-height: 0; }
pre.code { background: var(--code); border-radius: 6px; padding: .75rem 1rem; margin: 0;
           white-space: pre-wrap; overflow-wrap: anywhere; font: 12.5px/1.5 ui-monospace, Menlo, Consolas, monospace; }
figure { margin: 0; overflow-x: auto; text-align: center; } figure svg, figure img { max-width: 100%; height: auto; }
@media print { section { break-inside: avoid; } nav { display: none; } }
"""


def equation_html(text: str) -> str:
    """An equation with its time steps as superscripts, and what follows a low line as a subscript."""
    return _SUB.sub(r"<sub>\1</sub>", _TIMED.sub(r"\1\2<sup>(\3)</sup>", html.escape(text, quote=False)))


def ending(picture: Any) -> str:
    """The format of a picture's file: svg, unless that is large."""
    return "svg" if len(picture.svg) < LARGE else "png"


def page(figures: Mapping[str, Any], pictures: Mapping[str, Any]) -> str:
    """The gallery of figures and their pictures, by number, as HTML."""
    links = " ".join(f'<a href="#figure-{n}">{n}</a>' for n in pictures)
    sections = "".join(_section(number, figures[number], picture) for number, picture in pictures.items())
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>The figures of chapter 10</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        "<h1>The figures of chapter 10</h1>\n"
        '<p class="lead">Drawn by tinyseq from the nets themselves: beside each picture stands the code that recorded '
        "the graph it shows.</p>\n"
        f'<nav aria-label="Figures">{links}</nav>\n<main>\n{sections}</main>\n</body>\n</html>\n'
    )


def _section(number: str, figure: Any, picture: Any) -> str:
    return (
        f'<section id="figure-{number}">\n<h2>Figure {number}: {html.escape(figure.title)}</h2>\n<div class="row">\n'
        f'<div><p class="equation">{equation_html(figure.equation)}</p>\n'
        f'<pre class="code" tabindex="0"><code>{html.escape(figure.code, quote=False)}</code></pre></div>\n'
        f"<figure>{_shown(figure, picture)}</figure>\n</div>\n</section>\n"
    )


def _shown(figure: Any, picture: Any) -> str:
    if ending(picture) == "svg":
        return inline(picture.svg)
    data = base64.b64encode(picture.png).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(figure.title)}">'


def inline(svg: str) -> str:
    """An SVG file's text as it stands inside a page: without the prologue."""
    return svg[svg.index("<svg") :].strip()
