"""What ``tinyseq train DATA`` is given: guessed by name and content, and read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinyseq import data
from tinyseq.errors import DataError, FileError

REAL = {"vowels": data.vowels, "sunspots": data.sunspots, "co2": data.co2}
TASKS = ("text", "csv", "sequences", "texts", "trees", "tags", "dependencies", "python", *REAL)
WORDS = {
    "text": "a text: characters are predicted from those before",
    "csv": "a table: a sequence for each group of rows, or one series",
    "sequences": "JSON lines: one labelled sequence on each",
    "texts": "a folder of texts for each class",
    "trees": "trees in brackets",
    "tags": "CoNLL-U: a tag for each word",
    "dependencies": "CoNLL-U: dependency trees, a label for each word",
    "python": "Python files: functions as syntax trees",
    "vowels": "Japanese vowels, nine speakers",
    "sunspots": "sunspots of the years",
    "co2": "CO₂ over Mauna Loa, monthly",
}
OPTIONS: dict[str, tuple[str, ...]] = {  # of the reading of each kind of data
    "csv": ("target", "features", "group", "time", "sort", "missing", "window", "horizon", "held_out"),
    "sequences": ("target", "group", "least", "held_out"),
    "texts": ("least", "held_out"),
    "trees": ("labels", "binary", "least", "held_out"),
    "tags": ("target", "least", "held_out"),
    "dependencies": ("target", "least", "held_out"),
    "python": ("held_out",),
    "vowels": (),
    "sunspots": ("window",),
    "co2": ("window",),
}


def check_task(task: str, given: Iterable[str]) -> None:
    """Raise DataError for an option that reads other kinds of data than this one."""
    others = {name for names in OPTIONS.values() for name in names}
    for name in sorted(others.intersection(given).difference(OPTIONS[task])):
        kinds = ", ".join(kind for kind, names in OPTIONS.items() if name in names)
        option = f"--{name.replace('_', '-')}"
        raise DataError(f"{task}, {WORDS[task]}, has no {option}, which is of {kinds}: leave it out, or say --task")


def guess(path: Path) -> tuple[str, str]:
    """(task, why). Raises FileError for what is not there."""
    if str(path) in REAL and not path.exists():
        return str(path), "by its name"
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return "csv", f"as its name ends in {suffix}"
    if suffix in (".jsonl", ".ndjson"):
        return "sequences", f"as its name ends in {suffix}"
    if suffix in (".conllu", ".conll"):
        return "tags", f"as its name ends in {suffix}"
    if suffix in (".mrg", ".ptb", ".trees"):
        return "trees", f"as its name ends in {suffix}"
    if path.is_dir():
        return _of_folder(path)
    if path.is_file():
        with path.open("rb") as opened:
            start = opened.read(4096).decode("utf-8", "replace")
        if re.match(r"\s*\(\s*(\S+\s+)?\(", start) and start.count("(") > 10:
            return "trees", "as it begins with brackets in brackets"
    return "text", "as it is no table, no JSON lines, no trees"


def _of_folder(path: Path) -> tuple[str, str]:
    inside = [p for p in path.iterdir() if not p.name.startswith(".")]
    if any(p.is_dir() for p in inside):
        files = [f for p in inside if p.is_dir() for f in p.iterdir() if f.is_file()]
        if files and all(f.suffix.lower() in (".txt", ".text", "") for f in files):
            return "texts", "as it holds folders of text files"
    if any(p.suffix.lower() in (".mrg", ".ptb", ".trees") for p in path.rglob("*")):
        return "trees", "as it holds files of trees"
    if any(p.suffix == ".py" for p in path.rglob("*.py")):
        return "python", "as it holds Python files"
    raise FileError(f"{path} is a folder; give a text file, or a folder with a folder of texts for each class")


def read(task: str, path: Path, options: dict[str, Any], known: Any = None, labelled: bool = True) -> Any:
    """Data of a task. ``known`` has the vocabulary and classes of a model; without ``labelled`` no targets are read."""
    names: Any = (
        {} if known is None else {"classes": known["classes"] or None, "vocabulary": known["vocabulary"] or None}
    )
    least = options.get("least") or 1
    about = {} if known is None else known.get("about", {})
    reals = None if known is None or not labelled else not known["classes"]
    if task == "csv":
        found = data.csv(
            path, target=options.get("target") if labelled else "", features=options.get("features"),
            group=options.get("group"), time=options.get("time"), missing=options.get("missing") or "error",
            sort=bool(options.get("sort")), classes=names.get("classes"), reals=reals,
            each_step=about.get("each_step") if labelled else None, flagged=about.get("flagged"),
        )  # fmt: skip
        return _series(found, options, labelled)
    if task == "sequences":
        return data.json_lines(path, x=options.get("x") or "x", y=(options.get("target") or "y") if labelled else None,
                               group=options.get("group"), least=least, reals=reals, **names)  # fmt: skip
    if task == "texts":
        return data.texts(path, least=least, longest=options.get("longest") or 0, **names)
    if task == "trees":
        return data.treebank(path, labels=options.get("labels") or "every", binary=options.get("binary") or "right",
                             least=least, **names)  # fmt: skip
    if task in ("tags", "dependencies"):
        what = "tags" if task == "tags" else "trees"
        return data.conllu(path, what=what, label=options.get("target") or "upos", least=least, **names)
    if task == "python":
        return data.python(path, **names)
    raise DataError(f"{task} is no kind of data; known are {', '.join(TASKS)}")


def _series(found: data.Sequences, options: dict[str, Any], labelled: bool) -> data.Sequences:
    """A table without groups is one series: windows of it, with the target some steps later."""
    length, horizon = options.get("window") or 0, options.get("horizon")
    if not length and horizon is None and (options.get("group") is not None or len(found) > 1):
        if labelled and found.about["target"] in found.about["features"]:
            raise DataError(
                f"{found.name}: the target {found.about['target']!r} is read as a feature too, at the same step, "
                "so that it is known: leave it out of --features, or predict it some steps ahead, --horizon 1"
            )
        return found
    length = length or min(24, max(1, int(found.lengths.max()) // 4))
    return (
        _last_windows(found, length)
        if not labelled
        else found.windows(length, horizon=1 if horizon is None else horizon)
    )


def _last_windows(found: data.Sequences, length: int) -> data.Sequences:
    """The end of each series, from which its next value is predicted."""
    for i, steps in enumerate(found.lengths):
        if steps < length:
            which = f"sequence {i} of {found.name}" if len(found) > 1 else found.name
            raise DataError(f"{which} has {steps} rows, the model reads {length}")
    masks = None if found.masks is None else [mask[-length:] for mask in found.masks]
    return replace(found, x=[x[-length:] for x in found.x], masks=masks)
