"""The API reference, by pdoc: the packages that users import, their docstrings and signatures."""

from __future__ import annotations

import importlib
import pkgutil
import re
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from tinyseq.viz.site.extra import needed
from tinyseq.viz.site.shell import above, asset, head, scripts

PACKAGES = (
    "tinyseq", "tinyseq.nn", "tinyseq.functions", "tinyseq.structure", "tinyseq.diagnose", "tinyseq.train",
    "tinyseq.tasks", "tinyseq.ops", "tinyseq.errors", "tinyseq.viz",
)  # fmt: skip
OPEN = ("tinyseq.nn", "tinyseq.tasks")  # of which each module has a page of its own


def write_api(out: Path) -> list[tuple[str, str, str]]:
    """Write the reference below ``out/api``; (path, name, first line) of each page and of what stands in it."""
    pdoc, doc, render = needed("pdoc"), needed("pdoc.doc"), needed("pdoc.render")
    render.configure(docformat="google", show_source=False, search=False, footer_text="tinyseq", math=False)
    modules: dict[str, Any] = {name: doc.Module(importlib.import_module(name)) for name in names()}
    written = []
    for name, module in modules.items():
        path = f"api/{name.replace('.', '/')}.html"
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a type that is imported for checkers only is shown as it is written
            text = pdoc.render.html_module(module, modules)
        target.write_text(_at_home(text, path), "utf-8")
        written.append((path, name, _first(module)))
        written += [
            (f"{path}#{member.qualname}", f"{member.qualname} ({name})", _first(member))
            for member in module.own_members
            if member.qualname and f'id="{member.qualname}"' in text
        ]
    return written


def _first(thing: Any) -> str:
    """The first line of a docstring."""
    return (thing.docstring or "").split("\n")[0]


def _at_home(text: str, path: str) -> str:
    """A page of pdoc as one of the site: under its head, with its search, dark where the reader wants it, no links to
    places left out."""
    places = set(re.findall(r'\bid="([^"]+)"', text))
    text = re.sub(r'<a ([^>]*)href="#([^"]+)"', lambda m: m[0] if m[2] in places else f"<a {m[1]}", text)
    text = text.replace("</head>", f"<style>{asset('header.css')}{asset('api.css')}</style></head>", 1)
    text = text.replace("<body>", f'<body data-up="{above(path)}">\n{head(path)}', 1)
    return text.replace("</body>", f"{scripts(path)}</body>", 1)


def names() -> list[str]:
    """The modules that have a page."""
    found = list(PACKAGES)
    for name in OPEN:
        package: ModuleType = importlib.import_module(name)
        found += [f"{name}.{info.name}" for info in pkgutil.iter_modules(package.__path__) if not info.ispkg]
    return found
