// What follows from the state: gradients as far as backward has walked, under a mask or not, and what is looked at.
function masked(run) {
  if (state.mask === "full" || run.structure !== "chain") return null;
  const key = `${state.run}|${state.mask}|${state.width}|${run.version}`;
  if (gradients.key !== key) gradients = { key, mask: new Mask(run, state.mask, state.width), grads: backward(run, new Mask(run, state.mask, state.width)) };
  return gradients;
}

const wrap = (numbers) => ({ size: numbers.length, numbers, whole: true });

function gradient_of(run, n) {
  const cut = masked(run);
  if (run.begun[n] < 0 || run.begun[n] > state.k) return null;
  if (cut) return cut.grads && cut.grads[n] ? wrap(cut.grads[n]) : null;
  if (run.complete[n] <= state.k) return run.array(run.grad[n]);
  if (!run.full) return null;
  const sum = new Float64Array(size_of(run.shape(n)));
  for (const [r, e] of run.readers[n]) {
    if (run.walked[r] <= state.k && !run.blocks(r, e) && !pull(run, r, e, run.array(run.grad[r]).numbers, sum)) return null;
  }
  return wrap(sum);
}

// The norm of what has arrived of a gradient; null where nothing has, or where the page holds too little to add it up.
function gradient_norm(run, n) {
  if (run.begun[n] < 0 || run.begun[n] > state.k) return null;
  const cut = masked(run);
  if (cut) return cut.grads ? (cut.grads[n] ? norm(cut.grads[n]) : 0) : run.grad_norm[n];
  if (run.complete[n] <= state.k) return run.grad_norm[n];
  const sum = gradient_of(run, n);
  return sum ? norm(sum.numbers) : null;
}

function default_unit(run, n) {
  const a = run.array(run.grad[n]) ?? run.array(run.value[n]);
  if (!a) return 0;
  let best = 0;
  a.numbers.forEach((v, i) => { if (Math.abs(v) > Math.abs(a.numbers[best])) best = i; });
  return best;
}

const focus = (run) => (state.pinned >= 0 && state.pinned < run.n ? state.pinned : state.k ? run.node_at(state.k) : run.forward[0]);

function view_of(run) {
  return {
    bands: run.computes && state.bands && state.bands !== "off" && state.mask === "full" ? (row) => band_bar(run, row) : null,
    before: run.computes && log_now().done.length && state.mask === "full" ? (ledger) => before_of(run, ledger) : null,
    cut: run.computes ? (x, n) => cut_button(run, x, n) : null,
    k: state.k, pinned: state.pinned >= 0, rate: data.rate, clip: run.computes ? clip_now(run) : 1, masked: state.mask,
    grads: (n) => gradient_of(run, n), grad_norm: (n) => gradient_norm(run, n),
    unit: (n) => (state.unit >= 0 && state.unit < (run.array(run.value[n])?.numbers.length ?? 1) ? state.unit : default_unit(run, n)),
    choose: (n, unit) => { state.unit = unit; render(); },
    release: () => { state.pinned = -1; render(); },
  };
}
