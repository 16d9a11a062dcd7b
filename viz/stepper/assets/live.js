// A run that the page computes: values, gradients and ledgers follow the numbers of its leaves.
const DENSE = 1024, PROBES = 8;

class Live extends Run {
  constructor(json) {
    super(json);
    this.computes = true;
    this.said = json.value; // what Python came to
    this.limits = new Map(json.limits);
    const own = Array.from(this.value, (handle) => (handle < 0 ? null : super.array(handle).numbers));
    this.given = own.map((numbers, n) => numbers && ARRAYS[this.of_kind(n).dtype].from(numbers));
    this.reader = new Int32Array(this.source.length);
    for (let n = 0; n < this.n; n++) this.reader.fill(n, this.pointer[n], this.pointer[n + 1]);
    this.value = Int32Array.from({ length: this.n }, (_, n) => n); // handles: values, gradients, slopes
    this.grad = this.value.map((n) => this.n + n);
    this.data = Int32Array.from(this.source, (_, e) => 2 * this.n + e);
    this.value_norm = new Float64Array(this.n);
    this.grad_norm = new Float64Array(this.n);
    this.held = new Set(); // constants that the reader has given other numbers
    this.altered = new Map(); // nodes whose attributes are others now
    this.cuts = new Set(); // arrows of the drawing that the reader has cut
    this.counts = null; // step → whether its loss counts; null: all do
    this.length = this.shaped = null; // steps of the sequence, where the reader has shortened it; of which all is made
    this.others = new Map();
    this.rewired = []; // arrows that read another node since then
    this.outer = new Mask(this, "full", 1);
    this.kept = []; // arrays of gradients, written over each time
    this.values = this.given.map((numbers) => numbers && numbers.slice());
    this.made = new Executor(this.nodes, this.values);
    this.made.blank = (n, x) => Boolean(this.counts) && reads_nothing(this, n, x);
    this.made.gain = (n) => this.gains?.get(n) ?? null;
    this.compute();
    this.start = { values: this.values.map((v) => v.slice()), grads: this.grads.map((g) => g && g.slice()) };
  }

  // The two loops, and what is counted of their results.
  compute() {
    const { executor } = this;
    if (this.shaped !== shape_key(this)) reshape(this);
    executor.forward((n) => this.held.has(n), (n) => {
      const kept = this.counts && kept_numbers(this, n);
      if (kept) kept.forEach((keep, i) => { if (!keep) this.values[n][i] = 0; });
    });
    this.grads = executor.backward(this.loss, (n, place) => this.form[this.pointer[n] + place] !== 0 && !this.blocks(n, this.pointer[n] + place), null, this.kept);
    const given = new Set(this.ledgers.map(({ leaf }) => leaf));
    for (let n = 0; n < this.n; n++) {
      if (!this.grads[n] && (this.begun[n] >= 0 || given.has(n))) this.grads[n] = executor.zeros(n); // all that comes to it is stopped
      this.value_norm[n] = norm(this.values[n]);
      this.grad_norm[n] = norm(this.grads[n]);
    }
    for (const track of this.tracks) track.norm = Float64Array.from(track.node, (n) => this.grad_norm[n]);
    for (const ledger of this.ledgers) {
      ledger.total = this.grad_norm[ledger.leaf];
      ledger.checked = null;
    }
    this.slopes = [];
    this.version++;
  }

  array(handle) {
    if (handle < 0) return null;
    const numbers = handle < this.n ? this.values[handle] : handle < 2 * this.n ? this.grads[handle - this.n] : this.slope(handle - 2 * this.n);
    return numbers ? { size: numbers.length, numbers, whole: true } : null;
  }

  // ∂y/∂x of an elementwise op, from a 1 at every output.
  slope(e) {
    return (this.slopes[e] ??= this.pulled(e, () => 1));
  }

  pulled(e, number) {
    const n = this.reader[e], { executor } = this, out = executor.zeros(this.source[e]);
    if (this.form[e]) executor.pull(n, this.place[e], executor.zeros(n).map(number), out);
    return out;
  }

  increment_of(e) {
    const g = this.grads[this.reader[e]];
    if (this.blocks(this.reader[e], e)) return 0;
    return g ? norm(this.pulled(e, (_, i) => g[i])) : NaN;
  }

  jacobian_of(e) {
    const n = this.reader[e], form = this.forms[this.form[e]], shape = this.shape(n);
    if (form === "diagonal" || form === "reduce") return [norm(this.slope(e)), true];
    if (form === "moves") return [Math.sqrt(this.slope(e).reduce((a, b) => a + b, 0)), true];
    if (form === "product") {
      const repeats = shape[shape.length - (this.place[e] ? 1 : 2)], other = inputs_of(this, n)[1 - this.place[e]];
      return [Math.sqrt(repeats) * this.value_norm[other], true];
    }
    const rows = size_of(shape), exact = rows * size_of(this.shape(this.source[e])) <= DENSE;
    let total = 0;
    for (let r = 0; r < (exact ? rows : PROBES); r++) total += norm(this.pulled(e, (_, i) => (exact ? Number(i === r) : sign(r, i)))) ** 2;
    return [Math.sqrt(exact ? total : total / PROBES), exact];
  }

  // -- changing numbers --------------------------------------------------------------------------------------------
  is_given(n) {
    return this.is_leaf(n);
  }

  // Give a leaf other numbers; nothing follows before ``compute``.
  put(n, numbers) {
    if (!this.given[n]) this.held.add(n);
    this.values[n].set(numbers);
  }

  // Give a node other attributes.
  alter(n, attrs) {
    const kind = super.of_kind(n), own = { ...kind.attrs, ...attrs };
    this.altered.set(n, { ...kind, attrs: own });
    this.made.sites[n].attrs = own;
  }

  of_kind(n) {
    return this.altered?.get(n) ?? super.of_kind(n);
  }

  // Whether the reader lets no gradient along an arrow: cut, or from a loss that does not count.
  blocks(n, e) {
    const x = this.source[e];
    if (this.cuts.size && this.cuts.has(`${this.owner[x]}>${this.owner[n]}`)) return true;
    const { after, timed } = this.outer;
    return Boolean(this.counts) && after[n] && timed[x] && !this.counts(this.position[x]);
  }

  // Every leaf as it was when the page was written.
  restart() {
    this.held.clear();
    this.cuts.clear();
    for (const n of this.altered.keys()) this.made.sites[n].attrs = super.of_kind(n).attrs;
    this.altered.clear();
    for (const part of PARTS) part.restart?.(this);
    this.given.forEach((numbers, n) => { if (numbers) this.values[n].set(numbers); });
  }

  // Whether a value, or the gradient of a node, is not what it was when the page was opened.
  value_changed(n) {
    return differs(this.values[n], this.start.values[n]);
  }

  changed(n) {
    return this.value_changed(n) || differs(this.grads[n], this.start.grads[n]);
  }
}

// A ledger as it was when the page was opened: {total, sizes: step → size of its term}.
function before_of(run, { leaf }) {
  run.before ??= new Map();
  if (run.before.has(leaf)) return run.before.get(leaf);
  const { values, grads } = run.start, executor = new Executor(original_nodes(run), values), sizes = new Map();
  const ledger = (run.original?.ledgers ?? run.ledgers).find((each) => each.leaf === leaf);
  ledger.step.forEach((step, row) => {
    const term = executor.zeros(leaf);
    for (const [n, place] of uses_of_row(ledger, row)) if (grads[n]) executor.pull(n, place, grads[n], term);
    sizes.set(step, norm(term));
  });
  run.before.set(leaf, { total: norm(grads[leaf]), sizes });
  return run.before.get(leaf);
}

const MOSTLY = 0.99;

// From which step on nearly all of Σ ‖term‖ comes, now and before a change: how far back a weight's gradient looks.
function near_terms(run, ledger, summed, before) {
  if (run.structure !== "chain" || !summed || ledger.step.length < 3) return "";
  const since = (sizes) => {
    const order = Array.from(ledger.step, (t, i) => [t, sizes(t, i)]).filter(([t]) => t >= 0).sort((a, b) => b[0] - a[0]), all = order.reduce((a, [, size]) => a + size, 0);
    let sum = 0;
    return order.find(([, size]) => (sum += size) >= MOSTLY * all)?.[0];
  };
  const now = since((_, i) => summed.rows[i].size), was = before && since((t) => before.sizes.get(t) ?? 0);
  return now === undefined ? "" : `99 % of Σ ‖term‖ is of t ≥ ${now}${was !== undefined && was !== null && was !== now ? ` (was t ≥ ${was})` : ""}; `;
}

// The nodes with their attributes and inputs of when the page was written.
function original_nodes(run) {
  const kinds = run.kinds, source = run.original?.source ?? run.source;
  return run.made.nodes.map((node, n) => {
    const inputs = [];
    for (const e of run.edges(n)) inputs[run.place[e]] = source[e];
    return { ...node, attrs: kinds[run.kind[n]].attrs, inputs };
  });
}

function differs(a, b) {
  if (!a || !b) return Boolean(a) !== Boolean(b);
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i] && !(a[i] !== a[i] && b[i] !== b[i])) return true;
  return false;
}

// Signs that look random and are the same each time.
const sign = (r, i) => (Math.imul(Math.imul(i + 1, 2654435761) ^ Math.imul(r + 1, 1597334677), 2246822519) < 0 ? -1 : 1);
