// The data of the page: columns and pools of numbers, decoded once.
const $ = (id) => document.getElementById(id);

function unpack(text, Kind) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Kind(bytes.buffer);
}

const NEVER = 0x7fffffff; // an event that does not come

const COLUMNS = {
  kind: Int32Array, arg: Int32Array, index: Int32Array, group: Int32Array, position: Int32Array, value: Int32Array,
  grad: Int32Array, inputs: Int32Array, leaving: Int32Array, returning: Int32Array, beyond: Int32Array, value_norm: Float64Array, grad_norm: Float64Array, pointer: Int32Array,
  source: Int32Array, place: Int32Array, form: Int8Array, data: Int32Array, jacobian: Float32Array, exact: Int8Array,
  increment: Float64Array,
};

const size_of = (shape) => shape.reduce((n, m) => n * m, 1);

// The unfoldings of a run: cell → {first, last: its nodes, total: its steps}.
function spans_of(run) {
  const found = new Map();
  for (let n = 0; n < run.n; n++) {
    const { step, cell } = run.of_kind(n), span = found.get(cell);
    if (step) found.set(cell, { first: span?.first ?? n, last: n, total: Math.max(span?.total ?? 0, run.position[n] + 1) });
  }
  return found;
}

class Run {
  constructor(json) {
    Object.assign(this, { title: json.title, kinds: json.kinds, view: json.view, inside: json.inside, loss: json.loss });
    this.structure = json.kind;
    this.loss_steps = json.loss_steps;
    this.elsewhere = json.elsewhere;
    this.total = this.given_total = json.total; // steps now, and of the page as it was written
    this.whole = json.held === json.of;
    this.held = json.held;
    this.of = json.of;
    for (const part of [json.nodes, json.edges]) {
      for (const name in part) if (name in COLUMNS) this[name] = unpack(part[name], COLUMNS[name]);
    }
    this.forms = json.edges.forms;
    this.n = this.kind.length;
    const pool = json.arrays;
    this.cap = pool.cap;
    this.pools = [unpack(pool.f4, Float32Array), unpack(pool.f8, Float64Array)];
    this.offset = unpack(pool.offset, Int32Array);
    this.sizes = unpack(pool.size, Int32Array);
    this.wide = unpack(pool.wide, Int8Array);
    this.forward = unpack(json.forward, Int32Array);
    this.backward = unpack(json.backward, Int32Array);
    this.live = unpack(json.live, Float64Array);
    this.peak = json.peak;
    this.owner = unpack(json.view.owner, Int32Array);
    this.vertexNode = unpack(json.view.node, Int32Array);
    this.part = unpack(json.inside.part, Int32Array);
    this.tracks = json.tracks.map((t) => ({
      name: t.name, step: unpack(t.step, Int32Array), node: unpack(t.node, Int32Array), norm: unpack(t.norm, Float64Array),
    }));
    this.ledgers = json.ledgers.map((l) => ({
      ...l, step: unpack(l.step, Int32Array), event: unpack(l.event, Int32Array), numbers: unpack(l.numbers, Float64Array),
      uses: unpack(l.uses, Int32Array), count: unpack(l.count, Int32Array),
    }));
    this.computes = false; // whether the page computes the run, or shows the numbers that were stored
    this.version = 0;
    this.full = this.whole && (!this.cap || this.sizes.every((s) => s <= this.cap));
    this.moments();
  }

  // When each node is computed, when it walks back, when its gradient begins and is complete: numbers of events.
  moments() {
    const F = (this.F = this.forward.length), B = (this.B = this.backward.length);
    this.U = this.ledgers.length;
    this.end = F + B + this.U;
    this.computed = new Int32Array(this.n);
    this.walked = new Int32Array(this.n).fill(-1);
    this.begun = new Int32Array(this.n).fill(-1);
    this.complete = new Int32Array(this.n).fill(-1);
    this.forward.forEach((n, at) => { this.computed[n] = at + 1; });
    this.backward.forEach((n, at) => { this.walked[n] = F + at + 1; });
    this.readers = Array.from({ length: this.n }, () => []); // arrows of the page that bring a gradient back
    this.consumers = Array.from({ length: this.n }, () => []); // all that read a node and are on the page
    this.unseen = Array.from({ length: this.n }, () => []); // [event, how many gradients came by then] from steps not held
    this.directions = { forward: false, reversed: false }; // which ways states go through time
    this.spans = spans_of(this);
    const arrives = (x, at) => {
      if (this.begun[x] < 0 || at < this.begun[x]) this.begun[x] = at;
      this.complete[x] = Math.max(this.complete[x], at);
    };
    for (let n = 0; n < this.n; n++) {
      for (let e = this.pointer[n]; e < this.pointer[n + 1]; e++) {
        const x = this.source[e];
        this.consumers[x].push(n);
        if (this.in_time(n, x)) {
          this.directions[this.position[x] < this.position[n] ? "forward" : "reversed"] = true;
        }
        if (this.form[e] === 0 || this.walked[n] < 0) continue;
        this.readers[x].push([n, e]);
        arrives(x, this.walked[n]);
      }
    }
    for (const [x, at, count] of this.elsewhere) {
      this.unseen[x].push([at, count]);
      arrives(x, at);
    }
    for (const list of this.readers) list.sort((a, b) => this.walked[a[0]] - this.walked[b[0]]);
    this.begun[this.loss] = this.complete[this.loss] = F + 1;
    this.stages();
  }

  // Whether an arrow goes from one time step to another, and not from the end of an unfolding to the start of the next.
  in_time(n, x) {
    const [a, b] = [this.of_kind(x), this.of_kind(n)];
    if (!a.step || !b.step || this.position[x] === this.position[n]) return false;
    return a.cell === b.cell || this.spans.get(a.cell).last > this.spans.get(b.cell).first;
  }

  // Ends of stages: events after which another time step (height, line) begins.
  stages() {
    this.ends = [0];
    const walk = [...this.forward, ...this.backward];
    for (let at = 0; at < walk.length; at++) {
      const next = walk[at + 1];
      const border = at + 1 === this.F || at + 1 === walk.length;
      if (border || this.group[next] !== this.group[walk[at]]) this.ends.push(at + 1);
    }
    for (let u = 1; u <= this.U; u++) this.ends.push(this.F + this.B + u);
  }

  // The numbers of an array: {size, numbers, places}; places says which of the size numbers were kept, null for all.
  array(handle) {
    if (handle < 0) return null;
    const size = this.sizes[handle], stored = this.cap ? Math.min(size, this.cap) : size, at = this.offset[handle];
    const numbers = this.pools[this.wide[handle]].subarray(at, at + stored);
    return { size, numbers, whole: stored === size };
  }

  // Where the j-th number kept of an array of some size stood.
  place_of(size, j) {
    return this.cap && size > this.cap ? Math.floor((j * size) / this.cap) : j;
  }

  // The j-th kept number of an array that may be one number for all.
  static number(array, j) {
    return array.numbers[array.numbers.length === 1 ? 0 : j];
  }

  // Whether the reader has stopped the gradient on an arrow.
  blocks() { return false; }

  // The size of what the backward step of an arrow adds; the norm of its local Jacobian, and whether it is exact.
  increment_of(e) { return this.increment[e]; }
  jacobian_of(e) { return [this.jacobian[e], this.exact[e]]; }

  // The ops of the page as the executor reads them, and an executor on all numbers that are held.
  get nodes() {
    return Array.from({ length: this.n }, (_, n) => {
      const { op, attrs, shape, dtype } = this.of_kind(n);
      return { op, attrs, arg: this.arg[n], shape, dtype, inputs: inputs_of(this, n) };
    });
  }

  get executor() {
    return (this.made ??= new Executor(this.nodes, Array.from(this.value, (handle) => this.array(handle)?.numbers)));
  }

  shape(n) { return this.kinds[this.kind[n]].shape; }
  of_kind(n) { return this.kinds[this.kind[n]]; }
  edges(n) { return Array.from({ length: this.pointer[n + 1] - this.pointer[n] }, (_, i) => this.pointer[n] + i); }
  is_leaf(n) { return ["parameter", "input", "constant"].includes(this.of_kind(n).op); }

  phase(k) {
    if (k <= this.F) return k === 0 ? "start" : "forward";
    return k <= this.F + this.B ? "backward" : "update";
  }

  // The node of an event; of an update the parameter's leaf.
  node_at(k) {
    if (k < 1) return -1;
    if (k <= this.F) return this.forward[k - 1];
    if (k <= this.F + this.B) return this.backward[k - this.F - 1];
    return this.ledgers[Math.min(k - this.F - this.B, this.U) - 1].leaf;
  }
}
