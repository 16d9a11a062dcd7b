// The backward pass, run once more in the page: sums of (∂y/∂x)ᵀ g over the arrows, all of them or those a mask leaves.

// out += (∂y/∂x)ᵀ g for one arrow, by the op's own rule, or from the numbers stored for an op that has none in the page.
// Returns false where the page does not hold what it takes.
function pull(run, n, e, g, out) {
  const form = run.forms[run.form[e]];
  if (form === "none") return true;
  if (run.full && OPS[run.of_kind(n).op]) {
    run.executor.pull(n, run.place[e], g, out);
    return true;
  }
  const data = run.array(run.data[e]);
  if (!data || !data.whole) return false;
  if (form === "constant" || form === "diagonal") {
    for (let i = 0; i < out.length; i++) out[i] += Run.number(data, i) * g[i];
    return true;
  }
  if (form === "dense") {
    for (let i = 0; i < g.length; i++) {
      for (let j = 0; j < out.length; j++) out[j] += data.numbers[i * out.length + j] * g[i];
    }
    return true;
  }
  return form === "reduce" && pull_reduction(run, n, e, g, out, data);
}

function pull_reduction(run, n, e, g, out, data) {
  const kind = run.of_kind(n), shape = run.shape(run.source[e]);
  const [first, last] = kind.op === "cross_entropy" ? [shape.length - 1, shape.length] : kind.attrs.axes;
  const reduced = size_of(shape.slice(first, last)), inner = size_of(shape.slice(last));
  for (let j = 0; j < out.length; j++) {
    const owner = Math.floor(j / (reduced * inner)) * inner + (j % inner);
    out[j] += Run.number(data, j) * g[owner];
  }
  return true;
}

function inputs_of(run, n) {
  const found = [];
  for (const e of run.edges(n)) found[run.place[e]] = run.source[e];
  return found;
}

// How op(A) op(B) reads its operands: sizes, and strides of both.
function product(run, n) {
  const [a, b] = inputs_of(run, n), { attrs, shape } = run.of_kind(n), A = run.shape(a), B = run.shape(b);
  const [m, cols] = shape.slice(-2), wa = A[A.length - 1], wb = B[B.length - 1];
  return {
    a, b, m, n: cols, k: attrs.transpose_a ? A[A.length - 2] : wa, batch: shape.length === 3 ? shape[0] : 1,
    ai: attrs.transpose_a ? 1 : wa, ap: attrs.transpose_a ? wa : 1,
    bp: attrs.transpose_b ? 1 : wb, bj: attrs.transpose_b ? wb : 1,
  };
}

// Which arrows a mask cuts in one pass. Gradients cross from step to step inside cells only there; losses enter where
// what was recorded outside reads a step. A window of k is k passes: pass r takes the losses of steps ≡ r (mod k), and
// cuts above the step of the loss before, so that every pair (loss, use) closer than k is met in exactly one pass.
class Mask {
  constructor(run, kind, k) {
    Object.assign(this, { run, kind, k, passes: kind === "window" ? k : 1 });
    const { kinds } = run;
    this.timed = Array.from(run.kind, (id) => kinds[id].step);
    const reads = new Array(run.n).fill(false), head = new Array(run.n).fill(false); // a step; what the loss reads outside of steps
    for (let n = 0; n < run.n; n++) {
      if (!this.timed[n]) reads[n] = run.edges(n).some((e) => this.timed[run.source[e]] || reads[run.source[e]]);
    }
    head[run.loss] = !this.timed[run.loss];
    for (let n = run.loss; n >= 0; n--) if (head[n]) for (const e of run.edges(n)) head[run.source[e]] ||= !this.timed[run.source[e]];
    this.reads = reads;
    this.after = reads.map((yes, n) => yes && head[n]); // not what stands between two unfoldings: a context
  }

  // Whether the arrow of time e is cut in every pass: the scissors of the picture.
  cuts(n, e) {
    const a = this.run.position[this.run.source[e]], b = this.run.position[n];
    if (this.kind === "full" || !this.run.in_time(n, this.run.source[e])) return false;
    return this.kind === "chunk" ? Math.floor(a / this.k) !== Math.floor(b / this.k) : false;
  }

  blocks(n, e, pass) {
    const { run, k } = this, x = run.source[e], a = run.position[x], b = run.position[n];
    if (this.kind === "full") return false;
    if (run.in_time(n, x)) {
      if (this.kind === "chunk") return this.cuts(n, e);
      for (let u = a; u !== b; u += a < b ? 1 : -1) if (((u % k) + k) % k === pass) return true;
      return false;
    }
    if (this.kind !== "window" || !this.after[n]) return false;
    if (this.timed[x]) return ((a % k) + k) % k !== pass;
    return !this.after[x] && pass !== 0;
  }
}

// Pairs (time of loss, time of use) that a mask keeps: a loss at s reaches uses at t ≤ s, in a reversed chain t ≥ s.
function pairs_kept(run, kind, k) {
  const T = run.total, late = run.directions;
  let pairs = 0;
  for (const [first, beyond] of run.loss_steps) {
    for (let s = first; s < beyond; s++) {
      const low = kind === "full" ? 0 : kind === "chunk" ? s - (s % k) : Math.max(0, s - k + 1);
      const high = kind === "full" ? T - 1 : kind === "chunk" ? Math.min(T - 1, s - (s % k) + k - 1) : Math.min(T - 1, s + k - 1);
      pairs += 1 + (late.forward ? s - low : 0) + (late.reversed ? high - s : 0);
    }
  }
  return pairs;
}

// Gradients of all nodes under a mask, float64, null where none arrives; null in all if the page cannot compute them.
function backward(run, mask) {
  if (!run.full) return null;
  const total = new Array(run.n).fill(null);
  for (let pass = 0; pass < mask.passes; pass++) {
    const grads = backward_pass(run, mask, pass);
    if (!grads) return null;
    grads.forEach((g, n) => {
      if (!g || (pass > 0 && mask.after[n])) return; // outside of the steps each pass has the whole
      if (!total[n]) total[n] = new Float64Array(g.length);
      for (let i = 0; i < g.length; i++) total[n][i] += g[i];
    });
  }
  return total;
}

// The gradients of one pass of a mask.
function backward_pass(run, mask, pass) {
  const grads = new Array(run.n).fill(null), seeded = mask.timed[run.loss] && mask.kind === "window";
  if (!seeded || run.position[run.loss] % mask.k === pass) grads[run.loss] = new Float64Array(1).fill(1);
  for (const n of run.backward) {
    if (!grads[n]) continue;
    for (const e of run.edges(n)) {
      if (run.form[e] === 0 || run.blocks(n, e) || mask.blocks(n, e, pass)) continue;
      const x = run.source[e];
      if (!grads[x]) grads[x] = new Float64Array(size_of(run.shape(x)));
      if (!pull(run, n, e, grads[n], grads[x])) return null;
    }
  }
  return grads;
}

function norm(x) {
  if (!x) return NaN;
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * x[i];
  return Math.sqrt(sum);
}

// The terms of ∂L/∂W from δ and what stood beside it, added up: {rows: norms, total, residual}. ``grads`` are those of
// a mask, or null for those the run was exported with.
function terms(run, ledger, grads) {
  const leaf = run.array(run.grad[ledger.leaf]), sum = new Float64Array(size_of(run.shape(ledger.leaf)));
  const rows = [];
  let use = 0;
  for (let row = 0; row < ledger.step.length; row++) {
    const term = new Float64Array(sum.length);
    let delta = 0;
    const seen = new Set();
    for (let c = 0; c < ledger.count[row]; c++, use++) {
      const n = ledger.uses[2 * use], e = run.edges(n).find((x) => run.place[x] === ledger.uses[2 * use + 1]);
      const held = grads ? grads[n] : run.array(run.grad[n]).numbers;
      if (!held) continue;
      if (!pull(run, n, e, held, term)) return null;
      if (!seen.has(n)) delta += norm(held) ** 2;
      seen.add(n);
    }
    for (let i = 0; i < sum.length; i++) sum[i] += term[i];
    rows.push({ delta: Math.sqrt(delta), term, size: norm(term), running: norm(sum) });
  }
  const wanted = grads ? grads[ledger.leaf] : leaf.numbers;
  const size = norm(wanted);
  for (const row of rows) row.cosine = row.size * size ? row.term.reduce((s, v, i) => s + v * wanted[i], 0) / (row.size * size) : 0;
  const gap = norm(sum.map((s, i) => s - (wanted ? wanted[i] : 0)));
  return { rows, sum, size, residual: size ? gap / size : gap };
}
