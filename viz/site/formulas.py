"""Formulas: $…$ and $$…$$ of a text, as MathML, which browsers set without any script."""

from __future__ import annotations

import re

from tinyseq.errors import TinyseqError
from tinyseq.viz.site.extra import needed

_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_NAMED = re.compile(r"(<m[io]>[a-z]{2,}</m[io]>)(?=\s*<m(?:i|sup|sub|subsup|row|over)>)")  # tanh a is no tanha
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", re.DOTALL)


def with_formulas(text: str) -> str:
    """A text of Markdown with its formulas as MathML; code stays as it is."""
    parts = _CODE.split(text)
    return "".join(part if i % 2 else _FORMULA.sub(_set, part) for i, part in enumerate(parts))


def _set(found: re.Match[str]) -> str:
    shown, inside = found.groups()
    made = needed("latex2mathml.converter").convert((shown or inside).strip(), display="block" if shown else "inline")
    made = re.sub(r"\s*\n\s*", " ", made)
    unknown = re.search(r"\\\w+", made)
    if unknown:
        raise TinyseqError(f"a formula has {unknown[0]}, which becomes no MathML: {(shown or inside).strip()}")
    made = _NAMED.sub(r'\1<mspace width="0.17em"></mspace>', made)
    return f'\n\n<div class="formula" tabindex="0">{made}</div>\n\n' if shown else made
