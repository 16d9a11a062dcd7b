# ruff: noqa: E501  (scripts of the page)
"""A sequence made shorter in the page: what Python records for so many steps, also where the loss is of the last state
or an average, and where states go backwards; walk, strip, ledger and memory end where it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.stepper.pages import opened, rng
from tinyseq import nn
from tinyseq.viz.stepper.run import Run

F64 = np.float64
X = np.random.default_rng(3).normal(size=(6, 2, 3))
Y = np.random.default_rng(4).integers(0, 3, (6, 2))
STATE = """() => {
  const r = stepper.runs[0];
  return [r.values[r.loss][0], r.ledgers.map((l) => [l.name, Array.from(r.grads[l.leaf] ?? [])])];
}"""


def unfolded(cell: Any, T: int) -> Any:
    return ts.unfold(cell, ts.Chain(T), ts.tensor(X[:T], "x"), cell.initial_state(2))


def last_state(T: int) -> ts.Tensor:
    return ts.sum(unfolded(nn.LSTMCell(3, 2, rng=rng(), dtype=F64), T).final[0] ** 2)


def one_of_the_outputs(T: int) -> ts.Tensor:
    return ts.sum(unfolded(nn.GRUCell(3, 2, rng=rng(), dtype=F64), T).outputs[T - 1] ** 2)


def mean_of_outputs(T: int) -> ts.Tensor:
    return ts.mean(unfolded(nn.RNNCell(3, 2, rng=rng(), dtype=F64), T).outputs ** 2)


def mean_over_time_alone(T: int) -> ts.Tensor:
    squares = unfolded(nn.RNNCell(3, 2, rng=rng(), dtype=F64), T).outputs ** 2
    return ts.sum(ts.mean(squares, axis=0) * ts.tensor(np.arange(4.0).reshape(2, 2)))


def both_ways(T: int) -> ts.Tensor:
    made = nn.Bidirectional(nn.RNNCell(3, 2, rng=rng(), dtype=F64), nn.LSTMCell(3, 2, rng=rng(), dtype=F64))
    return ts.sum(made.encode(ts.tensor(X[:T], "x")).outputs ** 2)


def both_ways_at_their_ends(T: int) -> ts.Tensor:
    made = nn.Bidirectional(nn.RNNCell(3, 2, rng=rng(), dtype=F64), nn.RNNCell(3, 2, rng=rng(), dtype=F64))
    return ts.sum(ts.tanh(made.encode(ts.tensor(X[:T], "x")).last) ** 2)


def skips(T: int) -> ts.Tensor:
    return ts.sum(unfolded(nn.SkipCell(3, 2, rng=rng(), dtype=F64, delays=(1, 3)), T).outputs[T - 1] ** 2)


def states_and_the_last_memory(T: int) -> ts.Tensor:
    cell = nn.LSTMCell(3, 2, rng=rng(), dtype=F64)
    net = unfolded(cell, T)
    return ts.sum(net.outputs**2) + ts.sum(net.final[1] ** 2) * 3.0


def classified(T: int) -> ts.Tensor:
    return nn.ManyToOne(nn.GRUCell(3, 2, rng=rng(), dtype=F64), 3, rng=rng()).loss(X[:T], np.array([0, 2]))


def layers(T: int) -> ts.Tensor:
    """Two nets, one over the outputs of the other; the loss is of all states above and of the last one below."""
    below, above = (nn.RNNCell(size, 2, rng=rng(), dtype=F64) for size in (3, 2))
    first = unfolded(below, T)
    second = ts.unfold(above, ts.Chain(T), first.outputs, above.initial_state(2))
    return ts.sum(second.outputs**2) + ts.sum(ts.tanh(first.final))


def stacked_pairs(T: int) -> ts.Tensor:
    def pair(size: int) -> nn.Bidirectional:
        return nn.Bidirectional(*(nn.RNNCell(size, 2, rng=rng(), dtype=F64) for _ in range(2)))

    return nn.ManyToMany(nn.Stack([pair(3), pair(4)]), 3, rng=rng()).loss(X[:T], Y[:T])


def last_below_starts_above(T: int) -> ts.Tensor:
    """A layer that reads each state of the one below, and starts from the last of them."""
    below, above = (nn.GRUCell(size, 2, rng=rng(), dtype=F64) for size in (3, 2))
    first = unfolded(below, T)
    return ts.sum(ts.unfold(above, ts.Chain(T), first.outputs, first.outputs[T - 1]).final ** 2)


LENGTHS = np.array([3, 6, 0, 5, 3])
RAGGED = np.random.default_rng(6).normal(size=(6, 5, 3))
TARGETS = np.random.default_rng(7).integers(0, 3, (6, 5))


def lengths_that_differ(T: int, cell: Any = nn.LSTMCell) -> Any:
    net = cell(3, 2, rng=rng(), dtype=F64)
    chain = ts.Chain(np.minimum(LENGTHS, T))
    return ts.unfold(net, chain, ts.tensor(RAGGED[:T], "x"), net.initial_state(5))


def all_of_each_length(T: int) -> ts.Tensor:
    return ts.mean(lengths_that_differ(T).outputs ** 2)


def last_of_each_length(T: int) -> ts.Tensor:
    return ts.sum(ts.tanh(lengths_that_differ(T, nn.GRUCell).final) ** 2)


def last_memory_and_all_of_each_length(T: int) -> ts.Tensor:
    net = lengths_that_differ(T)
    return ts.sum(net.final[1] ** 2) + ts.sum(net.outputs**3)


def classified_of_each_length(T: int) -> ts.Tensor:
    kept = LENGTHS > 0
    net = nn.ManyToOne(nn.LSTMCell(3, 2, rng=rng(), dtype=F64), 3, rng=rng())
    return net.loss(RAGGED[:T, kept], np.array([0, 2, 1, 1]), np.minimum(LENGTHS[kept], T))


def labelled_of_each_length(T: int) -> ts.Tensor:
    net = nn.ManyToMany(
        nn.Stack([nn.RNNCell(3, 2, rng=rng(), dtype=F64), nn.GRUCell(2, 2, rng=rng(), dtype=F64)]), 3, rng=rng()
    )
    return net.loss(RAGGED[:T], TARGETS[:T], np.minimum(LENGTHS, T))


MADE: dict[str, Callable[[int], ts.Tensor]] = {
    made.__name__: made
    for made in (
        last_state, one_of_the_outputs, mean_of_outputs, mean_over_time_alone, both_ways, both_ways_at_their_ends,
        skips, states_and_the_last_memory, classified, layers, stacked_pairs, last_below_starts_above,
        all_of_each_length, last_of_each_length, last_memory_and_all_of_each_length, classified_of_each_length,
        labelled_of_each_length,
    )
}  # fmt: skip


def recorded(name: str, T: int) -> ts.Tensor:
    with ts.Tape():
        loss = MADE[name](T)
    loss.backward()
    return loss


def agrees(page: Any, loss: ts.Tensor) -> None:
    found, grads = page.evaluate(STATE)
    assert found == pytest.approx(loss.item(), rel=1e-12)
    for (name, numbers), p in zip(grads, loss.tape.parameters, strict=True):
        np.testing.assert_allclose(numbers, p.grad.ravel(), rtol=1e-10, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("name", MADE)
def test_a_shortened_net_is_the_net_of_so_many_steps(browser: Any, tmp_path: Any, name: str) -> None:
    path = recorded(name, 6).tape.to_html(tmp_path / "t.html", title="net")
    with opened(browser, path) as page:
        for T in (4, 3, 5, 6):
            page.fill("#knob-length input", str(T))
            agrees(page, recorded(name, T))
        page.fill("#knob-length input", "4")
        page.wait_for_function("() => location.hash.includes('T_4')")  # it waits while a slider is dragged
        hash = page.evaluate("() => location.hash")
        for _ in range(3):
            page.click("#train-once")
        page.click("#undo")
        page.click("#copy-python")
        script = page.input_value("#python-text")
        page.keyboard.press("Escape")
    with opened(browser, path, hash) as page:
        agrees(page, recorded(name, 4))
    (tmp_path / "state.py").write_text(script, "utf-8")
    run = subprocess.run([sys.executable, tmp_path / "state.py"], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    printed = dict(line.rsplit(" ", 1) for line in run.stdout.splitlines())
    assert float(printed["loss"]) == pytest.approx(recorded(name, 4).item(), rel=1e-12)


def test_walk_strip_ledger_and_memory_end_with_the_sequence(browser: Any, tmp_path: Any) -> None:
    path = recorded("last_state", 6).tape.to_html(tmp_path / "t.html", title="net")
    short = Run(recorded("last_state", 4), "", 10_000)
    with opened(browser, path) as page:
        curve = "() => [Array.from(stepper.runs[0].live), stepper.runs[0].peak]"
        whole = page.evaluate(curve)
        page.keyboard.press("End")
        page.fill("#knob-length input", "4")
        assert page.evaluate(curve) == [short.events["live"].tolist(), short.events["peak"]]
        assert page.evaluate("() => [stepper.runs[0].F, stepper.runs[0].B, stepper.state.k === stepper.runs[0].end]") == [
            len(short.events["forward"]), len(short.events["backward"]), True,
        ]  # fmt: skip
        assert page.locator("#ledger tbody th").all_text_contents() == ["3", "2", "1", "0"]
        assert page.locator("#strip circle.of0").count() == 4
        assert page.locator("#graph g.v.after-end").count() == page.locator("#graph g.v.after-end.todo").count() > 0
        assert page.locator("#graph path.rewired").count() == 1
        assert "Gradient: 4 of 4 arrived" in page.text_content("#inspector")  # of a bias
        page.evaluate(
            "() => { const r = stepper.runs[0]; stepper.state.pinned = r.original.forward.find((n) => r.position[n] === 5 && r.of_kind(n).name === 'h'); stepper.render(); }"
        )
        assert "after the end of the sequence" in page.text_content("#inspector")
        page.keyboard.press("Escape")
        page.evaluate("() => stepper.go(stepper.runs[0].F - 2)")
        node = page.evaluate("() => stepper.runs[0].node_at(stepper.state.k)")
        page.fill("#knob-length input", "6")  # the walk is where it was
        assert page.evaluate("() => stepper.runs[0].node_at(stepper.state.k)") == node
        assert page.evaluate(curve) == whole and page.locator("#graph path.rewired").count() == 0


def test_the_memory_curve_is_that_of_python(browser: Any, exported: Any) -> None:
    for name in ("rnn", "lstm", "tree"):
        with opened(browser, exported(name)[0]) as page:
            mine, theirs = page.evaluate(
                "() => { const r = stepper.runs[0]; return [Array.from(stepper.live_bytes(r)[0]), Array.from(r.live)]; }"
            )
            assert mine == theirs


def log_of_a_sum(T: int) -> ts.Tensor:
    return ts.log(ts.sum(unfolded(nn.RNNCell(3, 2, rng=rng(), dtype=F64), T).outputs ** 2))


def test_where_the_length_is_fixed_the_page_says_why(browser: Any, tmp_path: Any) -> None:
    with ts.Tape():
        loss = log_of_a_sum(6)
    with opened(browser, loss.tape.to_html(tmp_path / "f.html"), "#do=T_3") as page:  # an address cannot either
        assert page.evaluate("() => stepper.runs[0].length") is None and page.is_disabled("#reset")
        assert "no sum over the steps" in page.text_content("#length-note")
        assert page.locator("#knob-length").count() == 0


def test_a_loss_of_a_step_within_stays_as_the_end_comes_nearer(browser: Any, tmp_path: Any) -> None:
    with ts.Tape():
        loss = ts.sum(unfolded(nn.RNNCell(3, 2, rng=rng(), dtype=F64), 6).outputs[2] ** 2)
    loss.backward()
    with opened(browser, loss.tape.to_html(tmp_path / "w.html")) as page:
        assert page.get_attribute("#knob-length input", "min") == "3"
        page.fill("#knob-length input", "3")
        agrees(page, loss)


def translated(S: int, T: int, last: bool = False) -> ts.Tensor:
    """An encoder of S steps, and a decoder of T that starts from its last state."""
    encoder, decoder = (nn.GRUCell(3, 2, rng=rng(), dtype=F64) for _ in range(2))
    C = unfolded(encoder, S).final
    net = ts.unfold(decoder, ts.Chain(T), ts.tensor(X[1 : T + 1], "y"), C)
    return ts.sum((net.final if last else net.outputs) ** 2)


def a_context_in_each_step(S: int, T: int) -> ts.Tensor:
    """The encoder runs both ways and may be stacked; what it has at its ends is read in each step of the decoder."""
    pair = nn.Bidirectional(*(nn.RNNCell(3, 2, rng=rng(), dtype=F64) for _ in range(2)))
    C = ts.tanh(pair.encode(ts.tensor(X[:S], "x")).last)
    cell = nn.RNNCell(3, 2, rng=rng(), dtype=F64, context_size=4)
    step = lambda y, h: cell.step(y, h, cell.terms(C))  # noqa: E731
    return ts.mean(ts.unfold(step, ts.Chain(T), ts.tensor(X[1 : T + 1], "y"), cell.initial_state(2)).outputs ** 2)


def lengths_read(S: int, T: int) -> ts.Tensor:
    """An encoder of sequences of different lengths."""
    C = lengths_that_differ(S, nn.RNNCell).final
    decoder = nn.RNNCell(3, 2, rng=rng(), dtype=F64)
    return ts.sum(ts.unfold(decoder, ts.Chain(T), ts.tensor(RAGGED[:T], "y"), C).outputs ** 2)


@pytest.mark.parametrize(
    "made", [translated, lambda S, T: translated(S, T, last=True), a_context_in_each_step, lengths_read]
)
def test_what_is_read_and_what_is_written_have_lengths_of_their_own(browser: Any, tmp_path: Any, made: Any) -> None:
    def loss(S: int, T: int) -> ts.Tensor:
        with ts.Tape():
            found = made(S, T)
        found.backward()
        return found

    path = loss(6, 4).tape.to_html(tmp_path / "two.html", title="two")
    with opened(browser, path) as page:
        for S, T in ((3, 4), (3, 2), (6, 2), (1, 1), (5, 3), (6, 4), (2, 3)):
            page.fill("#knob-length-1 input", str(S))
            page.fill("#knob-length input", str(T))
            agrees(page, loss(S, T))
        page.wait_for_function("() => location.hash.endsWith('S_1_2%7ET_3')")
        hash = page.evaluate("() => location.hash")
    with opened(browser, path, hash) as page:
        agrees(page, loss(2, 3))
        page.click("#reset")
        agrees(page, loss(6, 4))


def attends(lengths: Any, S: int) -> ts.Tensor:
    """A decoder that reads all steps of its encoder, each weighed; the encoder's sequences have lengths of their own or not."""
    pair = nn.Bidirectional(*(nn.RNNCell(3, 2, rng=rng(), dtype=F64) for _ in range(2)))
    encoder = pair if lengths is None else nn.LSTMCell(3, 2, rng=rng(), dtype=F64)
    net = nn.EncoderDecoder(encoder, 3, 2, rng=rng(), attention=True)
    return net.loss(X[:S], Y[:4], None if lengths is None else np.minimum(lengths, S))


def translates(lengths: Any, S: int) -> ts.Tensor:
    """The net of the book, whose context is one of the encoder's states under another name."""
    net = nn.EncoderDecoder(nn.LSTMCell(3, 2, rng=rng(), dtype=F64), 3, 2, rng=rng(), cell="gru")
    return net.loss(X[:S], Y[:4], None if lengths is None else np.minimum(lengths, S))


@pytest.mark.parametrize("lengths", [None, [4, 6]])
@pytest.mark.parametrize("made", [attends, translates])
def test_encoders_of_the_package_read_shorter_inputs(browser: Any, tmp_path: Any, made: Any, lengths: Any) -> None:
    def loss(S: int) -> ts.Tensor:
        with ts.Tape():
            found = made(lengths, S)
        found.backward()
        return found

    with opened(browser, loss(6).tape.to_html(tmp_path / "a.html")) as page:
        for S in (5, 2, 1, 6, 3):
            page.fill("#knob-length-1 input", str(S))
            agrees(page, loss(S))


def turned_around(T: int) -> ts.Tensor:
    pair = nn.Bidirectional(*(nn.RNNCell(3, 2, rng=rng(), dtype=F64) for _ in range(2)))
    return ts.sum(ts.tanh(pair.encode(RAGGED[:, [1, 3]], np.array([6, 5])).last))


def averaged_over_time(T: int) -> ts.Tensor:
    """The decoder reads an average of the encoder's states: none of them can be left out."""
    encoder, decoder = (nn.RNNCell(3, 2, rng=rng(), dtype=F64) for _ in range(2))
    C = ts.mean(unfolded(encoder, T).outputs, axis=0)
    return ts.sum(ts.unfold(decoder, ts.Chain(3), ts.tensor(X[:3], "y"), C).outputs ** 2)


def test_lengths_that_would_mean_something_else_are_fixed(browser: Any, tmp_path: Any) -> None:
    for made, note, words in (
        (turned_around, "#length-note", "each sequence is also read backwards, from an end of its own"),
        (averaged_over_time, "#length-note-1", "rnn_2 reads several steps of rnn at once"),
    ):
        with ts.Tape():
            loss = made(6)
        with opened(browser, loss.tape.to_html(tmp_path / "f.html", loss=loss)) as page:
            assert words in page.text_content(note)
