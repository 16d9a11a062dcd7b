"""Optimisers against closed forms, plain NumPy twins and PyTorch; clipping against its equations."""

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DtypeError, GradientError, ShapeError, TinyseqError
from tinyseq.train import OPTIMISERS, SGD, Adam, RMSprop, clip_global_norm, global_norm


def parameters(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [ts.Parameter(rng.standard_normal(s).astype(dtype), n) for n, s in (("W", (3, 4)), ("b", (4,)))]


def gradients(steps, seed=1):
    rng = np.random.default_rng(seed)
    return [[rng.standard_normal((3, 4)), rng.standard_normal(4)] for _ in range(steps)]


def run(optimiser, grads):
    for step in grads:
        for p, g in zip(optimiser.parameters, step, strict=True):
            p.grad = g.astype(p.dtype)
        optimiser.step()


def twin_sgd(w, grads, rate, momentum):
    v = 0.0
    for g in grads:
        v = momentum * v - rate * g
        w = w + v
    return w


def twin_rmsprop(w, grads, rate, rho, delta):
    r = 0.0
    for g in grads:
        r = rho * r + (1 - rho) * g**2
        w = w - rate / np.sqrt(delta + r) * g
    return w


def twin_adam(w, grads, rate, rho1, rho2, delta):
    s = r = 0.0
    for t, g in enumerate(grads, 1):
        s = rho1 * s + (1 - rho1) * g
        r = rho2 * r + (1 - rho2) * g**2
        w = w - rate * (s / (1 - rho1**t)) / (np.sqrt(r / (1 - rho2**t)) + delta)
    return w


@pytest.mark.parametrize(
    ("make", "twin"),
    [
        (lambda p: SGD(p, 0.3, momentum=0.8), lambda w, g: twin_sgd(w, g, 0.3, 0.8)),
        (lambda p: RMSprop(p, 0.02, decay=0.7, delta=1e-3), lambda w, g: twin_rmsprop(w, g, 0.02, 0.7, 1e-3)),
        (lambda p: Adam(p, 0.02, 0.8, 0.95, 1e-3), lambda w, g: twin_adam(w, g, 0.02, 0.8, 0.95, 1e-3)),
    ],
    ids=["sgd", "rmsprop", "adam"],
)
def test_the_rule_is_that_of_a_plain_twin(make, twin):
    learned, grads = parameters(), gradients(7)
    start = [p.value.copy() for p in learned]
    run(make(learned), grads)
    for i, p in enumerate(learned):
        np.testing.assert_allclose(p.value, twin(start[i], [g[i] for g in grads]), rtol=1e-13)


def test_momentum_under_a_constant_gradient_is_a_geometric_series():
    p = ts.Parameter(np.array([0.0]), "w")
    run(SGD([p], 0.1, momentum=0.5), [[np.array([1.0])]] * 4)
    velocity = [-0.1 * (1 - 0.5**n) / (1 - 0.5) for n in range(1, 5)]
    np.testing.assert_allclose(p.value, [sum(velocity)], rtol=1e-14)


def test_first_adam_step_is_the_rate_whatever_the_gradient():
    p = ts.Parameter(np.zeros(3), "w")
    run(Adam([p], 0.01, delta=1e-300), [[np.array([1e-6, -3.0, 2e5])]])
    np.testing.assert_allclose(p.value, [-0.01, 0.01, -0.01], rtol=1e-12)


def test_first_rmsprop_step_is_rate_over_root_of_one_minus_decay():
    p = ts.Parameter(np.zeros(2), "w")
    run(RMSprop([p], 0.01, decay=0.75, delta=1e-300), [[np.array([5.0, -0.1])]])
    np.testing.assert_allclose(p.value, [-0.02, 0.02], rtol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_agrees_with_torch(name, dtype):
    torch = pytest.importorskip("torch")
    learned, grads = parameters(np.dtype(dtype)), gradients(20)
    theirs = [torch.nn.Parameter(torch.tensor(p.value)) for p in learned]
    ours, other = {
        "sgd": lambda: (SGD(learned, 0.05, momentum=0.9), torch.optim.SGD(theirs, 0.05, momentum=0.9)),
        "rmsprop": lambda: (
            RMSprop(learned, 0.05, delta=1e-30),
            torch.optim.RMSprop(theirs, 0.05, alpha=0.9, eps=1e-15),
        ),
        "adam": lambda: (Adam(learned, 0.05), torch.optim.Adam(theirs, 0.05)),
    }[name]()
    for step in grads:
        for p, g in zip(theirs, step, strict=True):
            p.grad = torch.tensor(g.astype(dtype))
        other.step()
    run(ours, grads)
    for p, q in zip(learned, theirs, strict=True):
        np.testing.assert_allclose(p.value, q.detach().numpy(), rtol=2e-5 if dtype == "float32" else 1e-11, atol=1e-6)


@pytest.mark.parametrize("name", list(OPTIMISERS))
def test_a_flat_vector_is_updated_like_its_parts(name):
    parts, grads = parameters(), gradients(5)
    flat = [ts.Parameter(np.concatenate([p.value.ravel() for p in parts]), "all")]
    run(OPTIMISERS[name](parts, 0.1), grads)
    run(OPTIMISERS[name](flat, 0.1), [[np.concatenate([g.ravel() for g in step])] for step in grads])
    assert np.array_equal(flat[0].value, np.concatenate([p.value.ravel() for p in parts]))


@pytest.mark.parametrize("name", list(OPTIMISERS))
def test_state_saved_and_loaded_goes_on_as_if_never_stopped(name):
    whole, halves, grads = parameters(), parameters(), gradients(8)
    run(OPTIMISERS[name](whole, 0.1), grads)
    first = OPTIMISERS[name](halves, 0.1)
    run(first, grads[:3])
    second = OPTIMISERS[name](halves, 0.1)
    second.load_state_dict(first.state_dict())
    run(first, grads[:1])  # the state was copied: what the first does now must not touch the second
    for p, q in zip(halves, parameters(), strict=True):
        p.value[...] = q.value
    again = OPTIMISERS[name](halves, 0.1)
    run(again, grads[:3])
    second.parameters = again.parameters
    run(second, grads[3:])
    for p, q in zip(whole, halves, strict=True):
        assert np.array_equal(p.value, q.value)


def test_values_keep_their_arrays_and_dtype():
    learned = parameters(np.float32)
    optimiser = Adam(learned, 0.1)
    arrays = [p.value for p in learned]
    assert all(np.shares_memory(a, optimiser._flat.values) for a in arrays)
    run(optimiser, gradients(2))
    assert all(p.value is a and a.dtype == np.float32 for p, a in zip(learned, arrays, strict=True))


def test_parameters_the_loss_does_not_use_stay():
    used, unused = parameters()
    before = unused.value.copy()
    used.grad = np.ones((3, 4))
    Adam([used, unused], 0.1).step()
    assert np.array_equal(unused.value, before)


def test_loading_what_does_not_fit_names_it_and_changes_nothing():
    learned = parameters()
    adam, sgd = Adam(learned, 0.1), SGD(learned, 0.1)
    with pytest.raises(TinyseqError, match=r"another optimiser than Adam.*mean\.0.*velocity\.0"):
        adam.load_state_dict(sgd.state_dict())
    wrong = adam.state_dict()
    wrong["square.1"] = np.ones(5)
    with pytest.raises(ShapeError, match=r"square\.1 has shape \(5,\), expected \(4,\)"):
        adam.load_state_dict(wrong)
    wrong["square.1"] = np.ones(4, np.float32)
    with pytest.raises(DtypeError, match=r"square\.1 is float32, expected float64"):
        adam.load_state_dict(wrong)
    assert adam.steps == 0 and not adam.state["square"][1].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD([], 0.1), "no parameters to learn"),
        (lambda: SGD([np.zeros(2)], 0.1), "needs Parameters, got ndarray"),
        (lambda: SGD(parameters()[:1] * 2, 0.1), "given twice"),
        (lambda: SGD(parameters(), 0.0), "rate must be a finite number above 0, got 0.0"),
        (lambda: Adam(parameters(), float("nan")), "rate must be"),
        (lambda: SGD(parameters(), 0.1, momentum=1.0), "momentum must be at least 0 and below 1, got 1.0"),
        (lambda: RMSprop(parameters(), delta=-1), "delta must be"),
        (lambda: Adam(parameters(), decay2=2), "decay2 must be"),
        (lambda: clip_global_norm(parameters(), 0), "limit must be"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(TinyseqError, match=message):
        make()


def test_stepping_without_any_gradient_says_what_to_run():
    with pytest.raises(GradientError, match=r"run loss\.backward\(\) before optimiser\.step\(\)"):
        SGD(parameters(), 0.1).step()


def test_global_norm_is_that_of_all_gradients_as_one_vector():
    learned = parameters()
    learned[0].grad, learned[1].grad = gradients(1)[0]
    expected = np.linalg.norm(np.concatenate([p.grad.ravel() for p in learned]))
    assert global_norm(learned) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_global_norm_neither_overflows_nor_vanishes(scale):
    p = ts.Parameter(np.zeros(2), "w")
    p.grad = np.array([3.0, 4.0]) * scale
    assert global_norm([p]) == pytest.approx(5 * scale, rel=1e-14)


def test_clipping_keeps_the_direction_and_sets_the_norm():
    learned = parameters()
    learned[0].grad, learned[1].grad = (g.copy() for g in gradients(1)[0])
    before = [p.grad.copy() for p in learned]
    norm = clip_global_norm(learned, 0.5)
    assert norm > 0.5
    assert global_norm(learned) == pytest.approx(0.5, rel=1e-14)
    for p, g in zip(learned, before, strict=True):
        np.testing.assert_allclose(p.grad, g * (0.5 / norm), rtol=1e-15)


def test_a_gradient_below_the_limit_is_left_bitwise_alone():
    learned = parameters()
    learned[0].grad, learned[1].grad = (g.copy() for g in gradients(1)[0])
    before = [p.grad.copy() for p in learned]
    clip_global_norm(learned, 1e9)
    assert all(np.array_equal(p.grad, g) for p, g in zip(learned, before, strict=True))


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_norm_that_is_not_finite_is_reported_and_not_spread(bad):
    p = ts.Parameter(np.zeros(2), "w")
    p.grad = np.array([1.0, bad])
    assert not np.isfinite(clip_global_norm([p], 1.0))
    assert p.grad[0] == 1.0
