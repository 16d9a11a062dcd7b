// The third executor: what a tape means, as two plain loops over its nodes, in the page. OPS holds the ops' scripts.
const ARRAYS = { float32: Float32Array, float64: Float64Array, int64: Float64Array };

// nodes: [{op, attrs, arg, shape, dtype, inputs}] in topological order; ``values`` holds the arrays of the leaves given.
class Executor {
  constructor(nodes, values) {
    this.nodes = nodes;
    this.values = values;
    this.sites = nodes.map(({ op, attrs, arg, shape, dtype, inputs }) => {
      const own = { ...attrs };
      if (dtype === "float32") for (const name of OPS[op]?.floats ?? []) own[name] = Math.fround(own[name]);
      return { attrs: own, arg, shape, shapes: inputs.map((x) => nodes[x].shape) };
    });
    this.sizes = nodes.map(({ shape }) => sizeOf(shape));
  }

  // Compute every node that is not given; ``finish`` has the last word on each.
  forward(given = () => false, finish = () => {}) {
    const { nodes, values } = this;
    for (let n = 0; n < nodes.length; n++) {
      const op = OPS[nodes[n].op];
      if (!op.forward || given(n)) continue;
      values[n] ??= this.zeros(n);
      op.forward(values[n], this.read(n), this.sites[n]);
      const gain = this.gain(n);
      if (gain) for (let i = 0; i < gain.length; i++) values[n][i] *= gain[i];
      finish(n);
    }
  }

  // Gradients of one node by all that it depends on, null where none comes. ``passes(n, place)`` says along which arrows
  // gradients go, ``seed`` what stands at the start; ``kept`` holds arrays that may be written over.
  backward(loss, passes = () => true, seed = null, kept = []) {
    const grads = new Array(this.nodes.length).fill(null), empty = (n) => kept[n]?.fill(0) ?? (kept[n] = this.zeros(n));
    grads[loss] = seed ?? empty(loss).fill(1);
    for (let n = loss; n >= 0; n--) {
      if (!grads[n]) continue;
      this.nodes[n].inputs.forEach((x, place) => {
        if (!this.rule(n, place) || !passes(n, place)) return;
        grads[x] ??= empty(x);
        this.pull(n, place, grads[n], grads[x]);
      });
    }
    return grads;
  }

  // out += (∂y/∂x)ᵀ g for one input of a node.
  pull(n, place, g, out) {
    const gain = this.gain(n);
    this.rule(n, place)(out, gain ? g.map((v, i) => v * gain[i]) : g, this.read(n), this.values[n], this.sites[n], place);
  }

  // The vjp for one input of a node, null where no gradient passes.
  rule(n, place) {
    const { op, inputs } = this.nodes[n], { vjp, joins } = OPS[op];
    return this.nodes[inputs[place]].dtype === "int64" ? null : vjp[joins ? 0 : place] ?? null;
  }

  read(n) {
    return this.nodes[n].inputs.map((x) => (this.blank(n, x) ? this.zeros(x) : this.values[x]));
  }

  // Whether a node reads zeros in place of another's value.
  blank() { return false; }

  // What the numbers of a node are multiplied by besides what its op does; null for nothing.
  gain() { return null; }

  zeros(n) {
    return new ARRAYS[this.nodes[n].dtype](this.sizes[n]);
  }
}
