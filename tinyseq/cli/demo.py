"""``tinyseq demo``: from the book's equations to a trained model and a picture of the graph that trained it."""

from __future__ import annotations

from math import log2
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer

from tinyseq import nn
from tinyseq.cli.console import check_output, files, heading, quoted, say, table
from tinyseq.diagnose import ledger
from tinyseq.tape import Tape
from tinyseq.tasks import Corpus, Markov, Windows, embedded_text, read_text
from tinyseq.train import Adam, bits_per_token, cosine, fit, sample_text, save
from tinyseq.train.checkpoints import writable_folder
from tinyseq.train.loop import window_loss

HIDDEN, WINDOW, BATCH, STEPS = 128, 25, 32, 5000
LOOK = 16
RATE, LAST_RATE, CLIP = 0.007, 0.02, 1.0
SAMPLE, TEMPERATURE, PROMPT = 240, 0.7, "The "


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for pictures and weights.")] = Path("tinyseq-demo"),
    text: Annotated[
        Path | None, typer.Option(help="A UTF-8 text file of yours instead of Python's own language reference.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Training steps.", min=1)] = STEPS,
    hidden: Annotated[int, typer.Option(help="Hidden units.", min=1)] = HIDDEN,
    seed: Annotated[int, typer.Option(help="Seed of weights and samples.", min=0)] = 0,
) -> None:
    """Train a small character RNN on real text and look inside it, in under a minute.

    Prints samples before and after, bits per character beside Markov chains, and the ledger of dL/dW over one
    window; writes the folded graph, the unfolded graph coloured by gradients, a plot of the gradient over time, and
    the weights.
    """
    check_output(out, folder=True)
    corpus = (
        Corpus.of(read_text(text), str(text)) if text else Corpus.of(embedded_text(), "Python's language reference")
    )
    V = len(corpus.vocabulary)
    model = nn.RNN(V, hidden, V, rng=np.random.default_rng(seed))
    windows = Windows(corpus.train, WINDOW, BATCH)
    learned = sum(p.value.size for p in model.parameters())
    say(
        f"Text: {corpus.name}, {len(corpus.train) + len(corpus.held_out):,} characters, {V} of them different; "
        f"the last {len(corpus.held_out):,} are held out."
    )
    say(f"Model: h = tanh(b + W h + U x), o = c + V h, with {hidden} hidden units and {learned:,} weights.")
    _prepare(model, windows)
    heading("Sample before training")
    say(quoted(_sample(model, corpus, seed)))
    heading(f"Training: {steps:,} windows of {WINDOW} steps, {BATCH} side by side, Adam, clipped gradient")
    optimiser = Adam(model.parameters(), RATE)
    history = fit(model, windows, optimiser, steps, clip=CLIP, schedule=cosine(RATE, steps, LAST_RATE))
    if history.interrupted:
        say(f"Stopped early, after {len(history.bits)} steps; going on with what was learned.")
    say(f"{history.tokens:,} characters read in {history.seconds:.1f} s.")
    heading("Sample after training")
    say(quoted(_sample(model, corpus, seed)))
    heading("Held-out text, bits per character (fewer is better)")
    bits = _compare(model, corpus)
    heading(f"Where dL/dW comes from: the first {LOOK} held-out characters, step by step backwards")
    written = _look_inside(model, corpus, writable_folder(out))
    info = {"text": corpus.name, "seed": seed, "steps": len(history.bits), "held_out_bits": bits}
    written.append((save(out, model, corpus.vocabulary, info=info), f"the weights: tinyseq sample {out}"))
    heading("Written")
    files(written)


def _prepare(model: Any, windows: Windows) -> None:
    """Run one window, so that compiling is not taken for training."""
    typer.echo("Preparing the kernels (compiled the first time, then kept on disk) ... ", nl=False)
    started = perf_counter()
    x, y, _ = next(iter(windows))
    window_loss(model).backward(x, y, None)
    say(f"{perf_counter() - started:.1f} s")


def _sample(model: Any, corpus: Corpus, seed: int) -> str:
    known = set(corpus.vocabulary.symbols)
    start = next((p for p in (PROMPT, "\n") if set(p) <= known), corpus.vocabulary.symbols[0])
    rng = np.random.default_rng(seed)
    drawn = sample_text(model, corpus.vocabulary, SAMPLE, rng=rng, temperature=TEMPERATURE, prompt=start)
    return start.lstrip("\n") + drawn


def _compare(model: Any, corpus: Corpus) -> float:
    V = len(corpus.vocabulary)
    rows = [("every character equally likely", log2(V))]
    for order, words in enumerate(("letter frequencies", "the letter before", "the two letters before")):
        chain = Markov(corpus.train, V, order)
        rows.append((f"Markov chain of order {order}: {words}", chain.bits_per_token(corpus.held_out, corpus.train)))
    bits = bits_per_token(model, corpus.held_out, corpus.train)
    rows.append((f"this RNN, {model.hidden_size} hidden units", bits))
    table(("model", "bits/char"), [(name, f"{value:.3f}") for name, value in rows])
    return bits


def _look_inside(model: Any, corpus: Corpus, out: Path) -> list[tuple[Path, str]]:
    from tinyseq.viz import draw
    from tinyseq.viz.plots.plots import gradient_norms

    text = np.concatenate([corpus.train[-1:], corpus.held_out])[: LOOK + 1]
    with Tape() as tape:
        loss, unfolded = model.losses(text[:-1, None], text[1:, None])
        say(str(ledger(loss, model.W)))
        norms = [float(np.linalg.norm(unfolded.state(t).grad)) for t in range(len(text) - 1)]
        written = [
            (out / "folded.svg", "the net as written: one step, with its delayed edge"),
            (out / "unfolded.svg", "the same net unfolded over time, coloured by its gradients"),
            (out / "gradient_norms.svg", "the gradient's norm at each hidden state"),
        ]
        draw(tape, written[0][0], view="folded")
        draw(tape, written[1][0], view="unfolded")
        gradient_norms(norms, written[2][0])
    return written
