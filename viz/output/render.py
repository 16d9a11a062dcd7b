"""DOT → SVG, PNG, PDF, by the Graphviz inside pygraphviz; a system Graphviz only if asked for."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyseq.errors import FileError, TinyseqError
from tinyseq.train.checkpoints import write_safely
from tinyseq.viz.look import style
from tinyseq.viz.look.options import Look
from tinyseq.viz.output.svg import polish

FORMATS = ("svg", "png", "pdf", "dot", "tex")


def format_of(path: str | os.PathLike[str] | None, given: str | None) -> str:
    """The format asked for, by name or by a file's ending."""
    known = f"known are {', '.join(FORMATS)}"
    if given is not None:
        if not isinstance(given, str) or given.lower().lstrip(".") not in FORMATS:
            raise TinyseqError(f"unknown picture format {given!r}; {known}")
        return given.lower().lstrip(".")
    ending = Path(path).suffix.lower().lstrip(".") if path is not None else "svg"
    if ending in ("gv", ""):
        ending = "dot" if ending else ""
    if ending not in FORMATS:
        if path is not None and Path(path).is_dir():
            raise TinyseqError(f"{path} is a folder; give the name of a file in it, e.g. {Path(path) / 'picture.svg'}")
        what = f"unknown picture format {ending!r}" if ending else "no picture format"
        raise TinyseqError(f"{what} in the file name {str(path)!r}; {known}, e.g. {Path(str(path)).stem}.svg")
    return ending


def render(
    dot: str, format: str, title: str = "", description: str = "", system: bool = False, look: Look | None = None
) -> bytes:
    """A placed graph as the bytes of a file. ``system`` runs the Graphviz program of the system instead."""
    format = format_of(None, format)
    if format == "dot":
        return dot.encode()
    raw = _by_system(dot, format) if system else _embedded(dot, format)
    return polish(raw, title, description, fingerprint(dot), look).encode() if format == "svg" else raw


def fingerprint(dot: str) -> str:
    """A number that tells one DOT text from another; an SVG holds it, so that one sees whether it is current."""
    return hashlib.sha256(dot.encode()).hexdigest()[:16]


def _embedded(dot: str, format: str) -> bytes:
    try:
        from pygraphviz import AGraph
    except ImportError as error:
        raise TinyseqError(
            f"{format} pictures need pygraphviz 2.0 or later, which brings Graphviz with it: "
            "pip install 'pygraphviz>=2.0' (the .dot text needs nothing; system=True uses an installed Graphviz)"
        ) from error
    graph = AGraph(string=dot)
    try:
        if format == "png":
            graph.graph_attr["dpi"] = str(style.DPI)
        graph.has_layout = True  # positions are in the text
        with without_font_warnings():
            data = graph.draw(format=format)
    finally:
        graph.close()
    if not data:
        raise TinyseqError(f"Graphviz gave an empty {format} picture; this build of pygraphviz cannot write {format}")
    return data


@contextmanager
def without_font_warnings() -> Iterator[None]:
    """The Fontconfig inside pygraphviz is older than many systems' settings and says so at each first picture; what
    else is written to the standard error file meanwhile is passed on."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, ValueError, AttributeError):  # a program without a standard error file
        yield
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            for line in caught:
                if not line.startswith(b"Fontconfig warning"):
                    os.write(2, line)


def _by_system(dot: str, format: str) -> bytes:
    from graphviz import ExecutableNotFound, Source

    try:
        return Source(dot, engine="neato").pipe(format, neato_no_op=2)
    except ExecutableNotFound as error:
        raise TinyseqError(
            "system=True, but no Graphviz program is on the PATH; leave it out to use the Graphviz inside pygraphviz"
        ) from error


def write(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file. Raises FileError saying what to do where the folder is missing or not writable."""
    target = Path(path)
    try:
        if target.is_dir():
            raise FileError(f"{target} is a folder; give the name of a file, e.g. {target / 'picture.svg'}")
        if not target.parent.is_dir():
            raise FileError(f"cannot write {target}: there is no folder {target.parent}; create it first")
        if target.exists() and not target.is_file():
            target.write_bytes(data)  # a device
        else:
            write_safely(target, data)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot write {target}: {error.strerror or error}; give another path") from error
    return target
