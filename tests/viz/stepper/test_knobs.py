# ruff: noqa: E501  (scripts of the page)
"""The chapter's knobs, training in the page, and the gradient of each loss by itself, beside Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.stepper.pages import gated, opened, rng, rnn
from tinyseq import train

F64 = np.float64
STATE = """() => {
  const r = stepper.runs[stepper.state.run];
  return [Array.from(r.values[r.loss])[0], Object.fromEntries(r.ledgers.map((l) => [l.name, Array.from(r.grads[l.leaf] ?? [])]))];
}"""
TRACK = "() => stepper.bands().groups.map((g) => [g.steps, g.norms])"


def test_eigenvalues_are_those_of_numpy(browser: Any, exported: Any) -> None:
    path, _ = exported("lstm")
    r = rng()
    some = [r.normal(size=(n, n)) for n in (1, 2, 3, 5, 8, 13, 32)]
    some += [a + a.T for a in some[2:5]]
    turn = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    some += [
        turn,
        np.zeros((3, 3)),
        np.eye(4),
        np.diag(np.ones(3), 1),
        np.roll(np.eye(6), 1, 0),
        np.kron(np.eye(2), turn),
    ]
    with opened(browser, path) as page:
        for matrix in some:
            found = page.evaluate(
                "([a, n]) => stepper.eigenvalues(Float64Array.from(a), n)", [matrix.ravel().tolist(), len(matrix)]
            )
            ours, theirs = [complex(*v) for v in found], list(np.linalg.eigvals(matrix))
            assert len(ours) == len(theirs)
            for value in theirs:  # each has its own
                near = min(ours, key=lambda z, value=value: abs(z - value))
                assert (
                    abs(near - value) < 1e-4
                    if np.linalg.matrix_rank(matrix) == 3 and len(matrix) == 4
                    else abs(near - value) < 1e-9
                )
                ours.remove(near)


OPTIMISERS = {
    "sgd": (0, lambda p: train.SGD(p, 0.5), 0.5, 0.0),
    "clipped": (0, lambda p: train.SGD(p, 2.0), 2.0, 0.3),
    "rmsprop": (1, lambda p: train.RMSprop(p, 0.05), 0.05, 0.0),
    "adam": (2, lambda p: train.Adam(p, 0.1), 0.1, 1.0),
}


@pytest.mark.parametrize("how", OPTIMISERS)
def test_training_in_the_page_gives_the_losses_of_python(browser: Any, tmp_path: Any, how: str) -> None:
    rule, made, rate, clip = OPTIMISERS[how]
    updates = 15
    path = rnn(dtype=F64).tape.to_html(tmp_path / "t.html", title="RNN", learning_rate=rate)
    r = rng()
    net = ts.nn.RNN(4, 3, 4, rng=r, dtype=F64)
    x, y = r.integers(0, 4, (6, 2)), r.integers(0, 4, (6, 2))
    optimiser, losses, norms = made(net.parameters()), [], []
    for _ in range(updates + 1):
        with ts.Tape():
            loss = net.loss(x, y)
            loss.backward()
        losses.append(loss.item())
        norms.append(train.clip_global_norm(net.parameters(), clip or 1e9))
        optimiser.step()
    with opened(browser, path) as page:
        page.select_option("#rule", value=str(rule))
        if clip:
            page.fill("#clip", str(clip))
        for _ in range(updates):
            page.click("#train-once")
        found = page.evaluate(
            "() => [...stepper.runs[0].history.map((e) => e.loss), stepper.runs[0].values[stepper.runs[0].loss][0]]"
        )
        np.testing.assert_allclose(found, losses, rtol=1e-10)
        np.testing.assert_allclose(
            page.evaluate("() => stepper.runs[0].history.map((e) => e.norm)"), norms[:-1], rtol=1e-8
        )
        assert f"{updates} of {updates} updates" in page.text_content("#train-now")
        hash = page.evaluate("() => location.hash")
        page.fill("#update-at", "4")  # as it was before the fifth
        assert page.evaluate(STATE)[0] == pytest.approx(losses[4], rel=1e-10)
        page.click("#train-once")  # from there on
        assert page.evaluate(STATE)[0] == pytest.approx(losses[5], rel=1e-10)
        assert page.evaluate("() => stepper.runs[0].history.length") == 5
        page.click("#undo")
        assert page.evaluate(STATE)[0] == pytest.approx(losses[0], rel=1e-12)
    with opened(browser, path, hash) as page:
        assert page.evaluate(STATE)[0] == pytest.approx(losses[-1], rel=1e-10)


def by_loss(keep: Any, cut: int | None = None, T: int = 6) -> dict[str, np.ndarray]:
    """Gradients of ``rnn`` by the losses of some steps; the state of one step detached from the next."""
    r = rng()
    net = ts.nn.RNN(4, 3, 4, rng=r, dtype=F64)
    x, y = r.integers(0, 4, (T, 2)), r.integers(0, 4, (T, 2))
    with ts.Tape() as tape:
        h, total = ts.zeros((2, 3), F64), None
        for t in range(T):
            h, o = net(ts.tensor(x[t]), h.detach() if cut is not None and t == cut + 1 else h)
            h = h.named("h") if cut is None else h
            one = ts.mean(ts.cross_entropy(o, ts.tensor(y[t])))
            if keep(t):
                total = one if total is None else total + one
    total.backward(seed=1.0)
    states = [tape.executor.grad(i) for i in range(len(tape)) if tape.node(i).name == "h" and tape.node(i).op == "tanh"]
    return {p.name: p.grad for p in net.parameters()} | {"h": [0.0 if g is None else np.linalg.norm(g) for g in states]}


def test_each_loss_by_itself(browser: Any, tmp_path: Any) -> None:
    path = rnn(dtype=F64).tape.to_html(tmp_path / "b.html")
    with opened(browser, path, "#bands=sum") as page:
        groups = page.evaluate(TRACK)
        assert [steps for steps, _ in groups] == [[s] for s in range(6)]
        for (s,), norms in groups:
            np.testing.assert_allclose(norms, by_loss(lambda t, s=s: t == s)["h"], rtol=1e-9, atol=1e-15)
        assert page.locator("#rainbow path.band").count() == 6 and page.is_visible("#rainbow")
        assert "reach t = 0" in page.text_content("#bands-note")
        page.select_option("#bands-kind", "off")
        assert not page.is_visible("#rainbow") and page.is_visible("#strip")


@pytest.mark.parametrize(
    ("action", "keep"),
    [(["l", 1, 0], lambda t: t == 5), (["l", 2, 3], lambda t: t == 3), (["l", 3, 2], lambda t: t <= 2)],
)
def test_losses_that_count(browser: Any, tmp_path: Any, action: list[Any], keep: Any) -> None:
    path = rnn(dtype=F64).tape.to_html(tmp_path / "l.html")
    wanted = by_loss(keep)
    with opened(browser, path) as page:
        page.evaluate("(action) => stepper.act(action)", action)
        for name, numbers in page.evaluate(STATE)[1].items():
            np.testing.assert_allclose(numbers, wanted[name].ravel(), rtol=1e-9, atol=1e-14)


def test_an_arrow_cut_is_a_state_detached(browser: Any, tmp_path: Any) -> None:
    path = rnn(dtype=F64).tape.to_html(tmp_path / "c.html")
    wanted, full = by_loss(lambda t: True, cut=2), by_loss(lambda t: True)
    with opened(browser, path) as page:
        edge = page.evaluate("""() => {
          const r = stepper.runs[0], named = (v) => [r.of_kind(r.vertexNode[v]).name, r.position[r.vertexNode[v]]].join();
          return r.view.ends.findIndex(([a, b]) => named(a) === "h,2" && named(b) === "h,3");
        }""")
        page.evaluate("(e) => document.querySelectorAll('#graph g.e')[e].dispatchEvent(new MouseEvent('click'))", edge)
        for name, numbers in page.evaluate(STATE)[1].items():
            np.testing.assert_allclose(numbers, wanted[name].ravel(), rtol=1e-9, atol=1e-14)
        assert page.locator("#graph g.severed").count() == 1
        assert "1 arrow cut" in page.text_content("#knobs")
        page.evaluate(
            "() => { const r = stepper.runs[0]; stepper.state.pinned = [...Array(r.n).keys()].find((n) => r.of_kind(n).name === 'h' && r.position[n] === 2 && !r.is_leaf(n)); stepper.render(); }"
        )
        page.locator(".arrivals button", has_text="mend").click()  # and by keys
        assert page.locator("#graph g.severed").count() == 0
        page.locator(".arrivals button", has_text="cut").first.click()
        page.click("#undo")
        for name, numbers in page.evaluate(STATE)[1].items():
            np.testing.assert_allclose(numbers, full[name].ravel(), rtol=1e-9, atol=1e-14)


def test_knobs_are_there_for_models_that_have_them(browser: Any, exported: Any, tmp_path: Any) -> None:
    leaky = gated(ts.nn.LeakyCell)
    pages = {
        "rnn": exported("rnn")[0],
        "lstm": exported("lstm")[0],
        "tree": exported("tree")[0],
        "leaky": leaky.tape.to_html(tmp_path / "k.html"),
    }
    shown = {}
    for name, path in pages.items():
        with opened(browser, path) as page:
            shown[name] = set(page.evaluate("() => [...document.querySelectorAll('#knobs > *')].map((k) => k.id)"))
    assert shown["rnn"] == {"circle", "knob-radius", "knob-gain", "knob-losses", "knob-length"}
    assert shown["lstm"] == {"circle", "knob-radius", "knob-gain", "knob-bias-0", "knob-losses", "knob-length"}
    assert "knob-leak" in shown["leaky"] and "knob-bias-0" not in shown["leaky"]
    assert "knob-radius" in shown["tree"] and "knob-losses" not in shown["tree"]


def test_radius_gain_bias_and_leak(browser: Any, exported: Any, tmp_path: Any) -> None:
    path, loss = exported("lstm")
    values = {p.name: p.value for p in loss.tape.parameters}
    numbers = "(name) => { const r = stepper.runs[0], l = r.ledgers.find((x) => x.name === name); return Array.from(r.values[l.leaf]); }"
    with opened(browser, path) as page:
        page.fill("#knob-radius input", "1.5")
        W = np.array(page.evaluate(numbers, "W")).reshape(3, 3)
        assert np.abs(np.linalg.eigvals(W)).max() == pytest.approx(1.5)
        np.testing.assert_allclose(W / W[0, 0], values["W"] / values["W"][0, 0], rtol=1e-9)
        page.fill("#knob-radius input", "0.5")  # not 0.5 of 1.5: the same knob, turned on
        assert np.abs(np.linalg.eigvals(np.array(page.evaluate(numbers, "W")).reshape(3, 3))).max() == pytest.approx(
            0.5
        )
        page.fill("#knob-gain input", "2")
        for name in ("U", "U_f", "U_g", "U_o"):
            np.testing.assert_allclose(page.evaluate(numbers, name), 2 * values[name].ravel())
        page.fill("#knob-bias-0 input", "3")
        assert page.evaluate(numbers, "b_f") == [3.0, 3.0, 3.0]
        page.click("#reset")
        np.testing.assert_array_equal(page.evaluate(numbers, "W"), values["W"].ravel())
    path = gated(ts.nn.LeakyCell).tape.to_html(tmp_path / "k.html")
    other = gated(lambda *sizes, **options: ts.nn.LeakyCell(*sizes, alpha=0.35, **options))
    other.backward()
    with opened(browser, path) as page:
        page.fill("#knob-leak input", "0.35")
        found, grads = page.evaluate(STATE)
        assert found == pytest.approx(other.item(), rel=1e-12)
        for p in other.tape.parameters:
            np.testing.assert_allclose(grads[p.name], p.grad.ravel(), rtol=1e-10, atol=1e-14)


def test_what_was_stands_beside_what_is(browser: Any, tmp_path: Any) -> None:
    loss = gated(ts.nn.RNNCell)
    path = loss.tape.to_html(tmp_path / "w.html", loss=loss)
    before = np.linalg.norm(next(p for p in loss.tape.parameters if p.name == "W").grad)
    sizes = ts.ledger(loss, next(p for p in loss.tape.parameters if p.name == "W")).term
    with opened(browser, path) as page:
        page.keyboard.press("End")
        assert "was" not in page.text_content("#ledger-foot") and page.locator("#ledger .was-bar").count() == 0
        page.fill("#knob-length input", "4")
        page.fill("#knob-radius input", "0.3")
        assert f"was {before:.4g}"[:9] in page.text_content("#ledger-foot").replace("−", "-")
        titles = page.locator("#ledger .was-bar").evaluate_all("(all) => all.map((bar) => Number(bar.title.slice(4)))")
        np.testing.assert_allclose(titles, sizes[2:], rtol=5e-3)  # of the steps that are left
        assert page.locator("#strip path.before").count() == 1
        page.click("#reset")
        assert page.locator("#strip path.before").count() == page.locator("#ledger .was-bar").count() == 0


def test_a_clip_shows_in_the_update_and_stays_in_the_address(browser: Any, tmp_path: Any) -> None:
    loss = rnn(dtype=F64)
    loss.backward()
    size = train.global_norm([p for p in loss.tape.parameters if p.grad is not None])
    with opened(browser, loss.tape.to_html(tmp_path / "c.html", loss=loss, learning_rate=0.5)) as page:
        page.fill("#clip", "0.25")
        page.press("#clip", "Tab")
        assert f"rate × clip = {0.125:.3f}" in page.text_content("#train-now")
        page.evaluate("() => stepper.go(stepper.runs[0].end)")
        assert f"0.5000 × {0.25 / size:.3g}, for the clip," in page.text_content("#say")
        page.click("#train-once")
        page.fill("#update-at", "0")
        assert "the parameters move by ‖Δθ‖ = 0.125" in page.text_content("#train-now")
        page.click("#train-once")
        hash = page.evaluate("() => location.hash")
    with opened(browser, tmp_path / "c.html", hash) as page:
        assert page.input_value("#clip") == "0.25"
        assert "clipped to 0.250" in page.text_content("#train-now")


def test_many_losses_of_a_small_net_have_a_band_each(browser: Any, tmp_path: Any) -> None:
    with opened(browser, rnn(T=40, dtype=F64).tape.to_html(tmp_path / "b.html"), "#bands=sum") as page:
        groups = page.evaluate(TRACK)
        assert [steps for steps, _ in groups] == [[s] for s in range(40)]
        for (s,), norms in (groups[0], groups[17], groups[39]):
            np.testing.assert_allclose(norms, by_loss(lambda t, s=s: t == s, T=40)["h"], rtol=1e-9, atol=1e-15)


def test_the_radius_of_a_reservoir_that_is_not_learned_can_be_turned(browser: Any, tmp_path: Any) -> None:
    def loss_of(radius: float) -> ts.Tensor:
        cell = ts.nn.Reservoir(2, 4, rng=rng(), spectral_radius=radius, density=1.0, dtype=F64)
        V = ts.Parameter(rng().normal(size=(1, 4)), "V")
        with ts.Tape():
            h = ts.unfold(cell, ts.Chain(5), ts.tensor(rng().normal(size=(5, 1, 2)), "x"), cell.initial_state(1))
            return ts.sum(ts.linear(h.outputs, V) ** 2)

    first, second = loss_of(0.9), loss_of(0.45)
    second.backward()
    with opened(browser, first.tape.to_html(tmp_path / "r.html", loss=first)) as page:
        assert page.text_content("#knob-radius output") == "0.900"
        page.fill("#knob-radius input", "0.45")
        found, grads = page.evaluate(STATE)
        assert found == pytest.approx(second.item(), rel=1e-12) and set(grads) == {"V"}
        np.testing.assert_allclose(grads["V"], second.tape.parameters[-1].grad.ravel(), rtol=1e-10)
