"""Commands on what ``tinyseq train`` wrote: evaluate, predict, sample, info, compare."""

from __future__ import annotations

import csv
import json
import sys
from math import log2
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from tinyseq.cli.console import files, heading, say, shown, table
from tinyseq.cli.reading import REAL, read
from tinyseq.cli.real_data import real_parts
from tinyseq.cli.training import text_digest
from tinyseq.data.metrics import told
from tinyseq.data.tables import named_rows
from tinyseq.errors import DataError, FileError
from tinyseq.nn.running import fits
from tinyseq.strict_json import dumps, dumps_exact, number
from tinyseq.tasks import Corpus, embedded_text, read_text
from tinyseq.tasks.text import TYPEWRITTEN, Vocabulary
from tinyseq.train import Checkpoint, bits_per_token, sample_text
from tinyseq.train.checkpoints import checkpoint_file, write_safely
from tinyseq.train.run_folder import METRICS, reopened

BLOCKS = "▁▂▃▄▅▆▇█"
UNKNOWN = ("error", "skip", "replace")


def evaluate(
    run: Annotated[Path, typer.Argument(help="A folder that `tinyseq train` wrote.")],
    data: Annotated[Path | None, typer.Argument(help="Other data with targets (default: what was held out).")] = None,
    unknown: Annotated[str, typer.Option(help="Characters the model does not know: error, skip, replace.")] = "error",
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Measure a trained model on what was held out, or on other data.

    Example: tinyseq evaluate tinyseq-model test.csv --json
    """
    metrics = measured(run, data, unknown)
    say(dumps(metrics) if as_json else told(metrics))


def measured(run: Path, data: Path | None = None, unknown: str = "error") -> dict[str, float]:
    """The metrics of a run on what it held out, or on other data."""
    found = reopened(run, best=True)
    if found.vocabulary is not None:
        return _of_text(run, found, data, unknown)
    held = _held_out(run, found) if data is None else _read(run, found, data, True)
    return found.model.evaluate(held)


def _of_text(run: Path, found: Checkpoint, data: Path | None, unknown: str) -> dict[str, float]:
    vocabulary = found.vocabulary
    assert vocabulary is not None
    if data is not None:
        tokens = encoded(vocabulary, read_text(data), unknown)
        if len(tokens) < 2:
            raise DataError(f"{data} has {len(tokens)} characters that the model knows; two are the least")
        bits = bits_per_token(found.model, tokens[1:], tokens[:1])
    else:
        path = str(found.info.get("path") or "")
        if path and not Path(path).is_file():
            raise FileError(f"the text that the model was trained on is gone: {path}; give a text to measure on")
        text = read_text(path) if path else embedded_text()
        if found.info.get("digest") not in (None, text_digest(text)):
            raise DataError(_has_changed(path, run))
        part = found.info.get("options", {}).get("held_out", 0.1)
        corpus = Corpus.of(text, path, part, vocabulary)
        bits = bits_per_token(found.model, corpus.held_out, corpus.train)
    return {"bits": bits, "perplexity": 2**bits if bits < 1000 else float("inf"), "guessing": log2(len(vocabulary))}


def encoded(vocabulary: Vocabulary, text: str, unknown: str) -> np.ndarray:
    """Numbers of a text's characters; unknown ones are an error, left out, or replaced by a form that is known."""
    if unknown not in UNKNOWN:
        raise DataError(f"--unknown is {', '.join(UNKNOWN)}, got {unknown!r}")
    if unknown != "error":
        known = set(vocabulary.symbols)
        kept = {c: c if c in known else "" for c in set(text)}
        if unknown == "replace":
            for c, form in kept.items():
                forms = (TYPEWRITTEN.get(c, ""), c.swapcase(), "?", " ")
                kept[c] = form or next((f for f in forms if f and set(f) <= known), "")
        text = "".join(kept[c] for c in text)
    return vocabulary.encode(text)


def _config(run: Path, found: Checkpoint) -> dict[str, Any]:
    if "config" not in found.info or "data" not in found.info:
        raise FileError(f"{run} was not written by `tinyseq train`: it does not say how its data are read")
    return dict(found.info["config"])


def _held_out(run: Path, found: Checkpoint) -> Any:
    """The part that the run held out, read again."""
    config = _config(run, found)
    if config["task"] in REAL:
        return real_parts(config["task"], config)[1]
    whole = read(config["task"], Path(config["path"]), config)
    learned, held = whole.split(config["held_out"], rng=np.random.default_rng(config["seed"]))
    if found.info["data"].get("digest") not in (None, learned.digest):
        raise DataError(_has_changed(config["path"], run))
    return held


def _has_changed(path: Any, run: Any) -> str:
    return (
        f"{path} has changed since {run} was trained on it, so that what was held out cannot be told from what was "
        f"learned: give data that it has not seen, tinyseq evaluate {run} FILE"
    )


def _read(run: Path, found: Checkpoint, path: Path, labelled: bool) -> Any:
    """Other data as the model reads them."""
    config, known = _config(run, found), dict(found.info["data"])
    if config["task"] in REAL:
        raise DataError(f"{run} was trained on {config['task']}, which has no files to read like it")
    about = known.get("about", {})
    if config["task"] == "csv":
        config = {**config, "target": about.get("target"), "features": about.get("features")}
        windows = about.get("windows")
        if windows:
            config = {**config, "window": windows["length"], "horizon": windows["horizon"]}
    data = read(config["task"], path, config, known, labelled)
    if known.get("kind") == "sequences" and bool(known["vocabulary"]) != data.tokens:
        reads, holds = ("words", "numbers") if known["vocabulary"] else ("numbers", "words")
        raise DataError(f"{path} holds {holds}, the model reads {reads}")
    fits(found.model, data)
    return data


def predict(
    run: Annotated[Path, typer.Argument(help="A folder that `tinyseq train` wrote.")],
    data: Annotated[Path, typer.Argument(help="Data like those it was trained on; targets may lack.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write a CSV file instead.")] = None,
) -> None:
    """Say what a trained model predicts: a line for each sequence, step or tree, by the names of its group and time.

    Example: tinyseq predict tinyseq-model new.csv -o predictions.csv
    """
    found = reopened(run, best=True)
    if found.vocabulary is not None:
        raise FileError(f"{run} is a character model: tinyseq sample {run} lets it write")
    read_in = (
        _read(run, found, data, labelled=False) if _may_lack_targets(run, found) else _read(run, found, data, True)
    )
    names, called = found.info["data"]["classes"], _called(_config(run, found), data, len(read_in))
    rows = []
    for (sequence, times), prediction in zip(called, found.model.predict(read_in), strict=True):
        values = np.atleast_1d(prediction)
        if found.model.each_step:
            steps = times or map(str, range(len(values)))
            rows += [[sequence, t, *_worded(value, names)] for t, value in zip(steps, values, strict=True)]
        else:
            rows.append([sequence, *_worded(values if not names else values[0], names)])
    head = ["sequence", *(["step"] if found.model.each_step else []), "prediction"]
    if out is None:
        say("\t".join(head))
        for row in rows:
            say("\t".join(row))
        return
    write_safely(out, "".join(f"{','.join(_quoted(cell) for cell in row)}\n" for row in [head, *rows]).encode())
    files([(out, f"{len(rows)} predictions")])


def _called(config: dict[str, Any], path: Path, count: int) -> list[tuple[str, list[str]]]:
    """What each sequence and its steps are called: as the group and the time of a table, else numbered."""
    if config["task"] == "csv" and config.get("group") is not None:
        named = named_rows(path, group=config["group"], time=config.get("time"), sort=bool(config.get("sort")))
        if len(named) == count:  # else windows of them
            return named
    return [(str(i), []) for i in range(count)]


def _may_lack_targets(run: Path, found: Checkpoint) -> bool:
    return _config(run, found)["task"] in ("csv", "sequences")


def _worded(value: Any, names: list[str]) -> list[str]:
    if names:
        return [names[int(value)]]
    return [f"{float(v):.7g}" for v in np.atleast_1d(value)]


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(c in cell for c in ',"\n') else cell


def sample(
    folder: Annotated[Path, typer.Argument(help="A folder that `tinyseq train` or `tinyseq demo` wrote.")],
    length: Annotated[int, typer.Option(help="Characters to draw.", min=0)] = 400,
    temperature: Annotated[
        float, typer.Option(help="Below 1 more cautious, above 1 wilder; 0 always takes the likeliest.")
    ] = 0.8,
    prompt: Annotated[str | None, typer.Option(help="Text to go on from (default: a new line).")] = None,
    unknown: Annotated[
        str, typer.Option(help="Characters of the prompt that it does not know: error, skip, replace.")
    ] = "error",
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0)] = 0,
) -> None:
    """Let a saved model write."""
    found = reopened(folder)
    if found.vocabulary is None:
        raise FileError(f"{folder} holds no vocabulary, so it is not a character model")
    symbols = found.vocabulary.symbols
    start = prompt if prompt is not None else ("\n" if "\n" in symbols else symbols[0])
    if unknown != "error" and prompt:
        start = found.vocabulary.decode(encoded(found.vocabulary, prompt, unknown))
    drawn = sample_text(
        found.model, found.vocabulary, length, rng=np.random.default_rng(seed), temperature=temperature, prompt=start
    )
    written = (prompt or "") + drawn
    say(shown(written) if sys.stdout.isatty() else written)


def info(
    run: Annotated[Path, typer.Argument(help="A folder that `tinyseq train` wrote, or a model file.")],
    as_csv: Annotated[Path | None, typer.Option("--csv", help="Write the metrics of all steps as CSV.")] = None,
) -> None:
    """Say what a run is: the model, how it was made, what it learned on, its curves.

    Example: tinyseq info tinyseq-model --csv metrics.csv
    """
    found = reopened(run)
    say(str(found.model))
    state, about = found.info.get("fit", {}), found.info.get("data", {})
    options = found.info.get("config") or found.info.get("options") or {}
    heading("How it was made")
    for name, value in {**options, "versions": found.info.get("versions"), **_of_data(found, about)}.items():
        if value not in (None, "", [], {}):
            say(f"  {name.replace('_', ' '):<15} {_short(value)}")
    rows = _metrics(run)
    heading("How it went")
    step, planned = state.get("step", found.info.get("steps", 0)), state.get("planned")
    ended = {"patience": ", ended by its patience", "interrupted": ", interrupted"}.get(state.get("stopped", ""), "")
    say(f"  {step:,} steps{f' of {planned:,}' if planned else ''}{ended}, {state.get('seconds', 0.0):.1f} s")
    if rows:
        say(f"  loss        {curve([row['loss'] for row in rows])}")
    validated = [row for row in state.get("validation", []) if "loss" in row]
    if validated:
        say(f"  validation  {curve([row['loss'] for row in validated])}")
        say(f"  last: {told({k: v for k, v in validated[-1].items() if k not in ('step', 'epoch')})}")
    if state.get("best"):
        say(f"  best, after {state['best']['step']} steps: loss {state['best']['loss']:.4g}")
    if as_csv is not None:
        files([(_as_csv(as_csv, rows), f"{len(rows)} steps")])


def _of_data(found: Checkpoint, about: dict[str, Any]) -> dict[str, Any]:
    told = {"text": found.info.get("text"), "features": about.get("features"), "classes": about.get("classes")}
    if found.vocabulary is not None:
        told["vocabulary"] = repr(found.vocabulary)
    elif about.get("vocabulary"):
        told["vocabulary"] = f"{len(about['vocabulary'])} tokens"
    return told


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 90 else f"{text[:90]}…"


def _metrics(run: Path) -> list[dict[str, Any]]:
    path = checkpoint_file(run).parent / METRICS
    if not path.is_file():
        return []
    rows = []
    for place, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        try:
            row = json.loads(line)
            rows.append({"step": int(row["step"]), **row, "loss": number(row["loss"])})
        except (ValueError, KeyError, TypeError, RecursionError):
            raise FileError(f"{path}, line {place}: no metrics of a step") from None
    return rows


def _as_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    import io

    out = io.StringIO()
    keys = sorted({f"validation_{key}" for row in rows for key in row.get("validation", {})})
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["step", "loss", "norm", "rate", *keys])
    for row in rows:
        held = {f"validation_{key}": value for key, value in row.get("validation", {}).items()}
        writer.writerow([row["step"], row["loss"], row["norm"], row["rate"], *[held.get(key, "") for key in keys]])
    return write_safely(path, out.getvalue().encode())


def curve(values: list[float], width: int = 60) -> str:
    """Numbers as blocks of eight heights, means of stretches where there are many."""
    array = np.array([v for v in values if np.isfinite(v)], float)
    if not len(array):
        return "nothing finite"
    parts = [float(part.mean()) for part in np.array_split(array, min(width, len(array)))]
    low, high = min(parts), max(parts)
    heights = [round((v - low) / (high - low) * 7) if high > low else 0 for v in parts]
    return "".join(BLOCKS[h] for h in heights) + f"  {array[0]:.4g} → {array[-1]:.4g}"


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two folders or more that `tinyseq train` wrote.")],
) -> None:
    """Put runs side by side: what differs between them, and how they went.

    Example: tinyseq compare run-lstm run-gru
    """
    if len(runs) < 2:
        raise DataError("compare takes two runs or more: tinyseq compare RUN RUN")
    found = [reopened(run) for run in runs]
    options = [{**f.info.get("options", {}), **f.info.get("config", {})} for f in found]
    names = sorted({name for o in options for name in o if len({dumps_exact(p.get(name)) for p in options}) > 1})
    told = [{**{n.replace("_", " "): _short(o.get(n, "")) for n in names}, **_went(f)}
            for f, o in zip(found, options, strict=True)]  # fmt: skip
    table(["", *map(str, runs)], [[name, *[each[name] for each in told]] for name in told[0]])


def _went(found: Checkpoint) -> dict[str, str]:
    """How a run went, by name."""
    state = found.info.get("fit", {})
    best = state.get("best") or {}
    return {
        "weights": f"{sum(p.value.size for p in found.model.parameters()):,}",
        "steps": f"{state.get('step', found.info.get('steps', 0)):,}",
        "seconds": f"{state.get('seconds', 0.0):.1f}",
        "best loss": f"{best['loss']:.4g}" if "loss" in best else "",
        "accuracy": f"{best['accuracy']:.1%}" if "accuracy" in best else "",
        "held-out bits": f"{found.info['held_out_bits']:.3f}" if "held_out_bits" in found.info else "",
    }
