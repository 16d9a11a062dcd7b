// Which losses count, and over how many steps the net is unfolded: the loss is then the sum of what those steps give it.
// From the loss downwards stand ops that are linear; what they add up, each number of it, is of one step or of none.

// Whether a node outside of the steps is linear in what comes from them.
function is_linear(run, n) {
  const { op, attrs } = run.of_kind(n), of_steps = inputs_of(run, n).map((x) => run.outer.after[x] || run.outer.timed[x]);
  if (op === "mul") return of_steps[0] !== of_steps[1];
  if (op === "div") return !of_steps[1];
  if (op === "affine") return attrs.c === 0;
  return ["add", "sub", "neg", "sum", "mean", "expand"].includes(op) || Boolean(OPS[op].arranges);
}

const is_number = (run, n) => run.of_kind(n).dtype !== "int64";

// {linear, owners: node → step of each of its numbers (-1: none), averages: whether steps are averaged, steps: those that
// the loss is of}; null where a number comes from several steps, so that the loss is no sum over them.
function separated(run) {
  const { after, timed } = run.outer, linear = new Uint8Array(run.n), reached = new Uint8Array(run.n), owners = new Map();
  if (!after[run.loss]) return null;
  reached[run.loss] = 1;
  for (let n = run.loss; n >= 0; n--) {
    if (!reached[n] || !after[n]) continue;
    if (!is_linear(run, n)) owners.set(n, null);
    else {
      linear[n] = 1;
      for (const x of inputs_of(run, n)) reached[x] = 1;
    }
  }
  const outside = Array.from({ length: run.loss + 1 }, (_, n) => n).filter((n) => after[n]);
  const read = [...new Set(outside.flatMap((n) => inputs_of(run, n)))].filter((x) => timed[x] && is_number(run, x));
  const steps = [...new Set(read.map((x) => run.position[x]))].sort((a, b) => a - b), at = new Map(steps.map((t, i) => [t, i]));
  const bits = Math.max(1, Math.ceil(Math.log2(steps.length))), found = [0, 1].map((bit) => Array.from({ length: bits }, (_, b) => traced(run, outside, read, (x) => ((at.get(run.position[x]) >> b) & 1) === bit)));
  const averages = outside.some((n) => linear[n] && run.of_kind(n).op === "mean" && found[1].some((values, b) => values[n].some((v, i) => v !== v && found[0][b][n][i] !== found[0][b][n][i])));
  for (const n of owners.keys()) {
    const own = Int32Array.from({ length: run.values[n].length }, (_, i) => {
      const ones = found[1].map((values) => values[n][i] !== values[n][i]), zeros = found[0].map((values) => values[n][i] !== values[n][i]);
      if (ones.some((one, b) => one && zeros[b])) return -2;
      return ones.some(Boolean) || zeros.some(Boolean) ? steps[ones.reduce((sum, one, b) => sum + (one << b), 0)] : -1;
    });
    if (own.includes(-2)) return null;
    owners.set(n, own);
  }
  const reaching = steps.filter((t) => Number.isNaN(traced(run, outside, read, (x) => run.position[x] === t)[run.loss][0]));
  return { linear, owners, averages, steps: reaching };
}

// Values of the nodes outside of the steps, NaN standing for what comes from some of the steps.
function traced(run, outside, read, marks) {
  const values = run.values.slice(), { executor } = run;
  for (const x of read) values[x] = values[x].map((v) => (marks(x) ? NaN : v === v ? v : 1));
  for (const n of outside) {
    values[n] = executor.zeros(n);
    OPS[run.of_kind(n).op].forward(values[n], run.executor.nodes[n].inputs.map((x) => values[x]), executor.sites[n]);
  }
  return values;
}

// Why the sequence cannot be shortened in the page, "" where it can.
function length_refused(run) {
  const { steps, parts } = features_of(run);
  if (run.structure !== "chain" || run.total < 2) return "no sequence";
  if (run.directions.reversed) return "states go backwards in time too, and would start elsewhere";
  if (steps.length === 1) return `the loss is of t = ${steps[0]} alone`;
  if (!steps.length || !parts) return "the loss is no sum over the steps";
  return parts.averages ? "the loss is an average over the steps" : "";
}

// Which losses count, by the reader's choice and the length of the sequence; null: all of them.
function recount(run) {
  const { mode = 0, s = 0 } = run.choice ?? {}, length = run.length ?? Infinity;
  if (!mode && run.length === null) {
    run.counts = null;
    return;
  }
  const last = Math.max(...features_of(run).steps.filter((t) => t < length));
  const chosen = [() => true, (t) => t === last, (t) => t === s, (t) => t <= s][mode];
  run.counts = (t) => t < length && chosen(t);
}

// Whether a node adds up something of a step that does not count: it reads zeros there.
function reads_nothing(run, n, x) {
  const parts = run.counts && features_of(run).parts;
  return Boolean(parts) && Boolean(parts.linear[n]) && run.outer.timed[x] && is_number(run, x) && !run.counts(run.position[x]);
}

// For each number of a node whether it counts; null where all do.
function kept_numbers(run, n) {
  const own = run.counts && features_of(run).parts?.owners.get(n);
  return own && own.some((t) => t >= 0 && !run.counts(t)) ? Array.from(own, (t) => t < 0 || run.counts(t)) : null;
}

Object.assign(ACTIONS, {
  l: (run, [mode, s]) => { run.choice = { mode, s }; recount(run); },
  T: (run, [length]) => { run.length = length >= run.total ? null : length; recount(run); },
});
Object.assign(SAME, { l: 0, T: 0 });
Object.assign(FITS, {
  l: (run, [mode]) => [0, 1, 2, 3].includes(mode) && features_of(run).steps.length > 1,
  T: (run, [length]) => Number.isInteger(length) && !length_refused(run) && length > features_of(run).steps[0] && length <= run.total,
});

function length_knob(run) {
  const why = length_refused(run);
  if (why === "no sequence") return null;
  if (why) return $("length-note") ?? element("span", { class: "note", id: "length-note" }, `sequence length: fixed here, ${why}`);
  const now = run.length ?? run.total;
  return knob("knob-length", ["sequence length T"], { min: features_of(run).steps[0] + 1, max: run.total, step: 1, value: now, words: `${now} of ${run.total}` }, (v) => act(["T", v]));
}

// Nodes after the end of a shortened sequence are faint.
function draw_length(run, drawing) {
  const late = (v) => run.length !== null && run.vertexNode[v] >= 0 && run.outer.timed[run.vertexNode[v]] && run.position[run.vertexNode[v]] >= run.length;
  drawing.vertices.forEach((g, v) => g.classList.toggle("after-end", late(v)));
  drawing.links.forEach((g, e) => g.classList.toggle("after-end", run.view.ends[e].some(late)));
}

PARTS.push({
  draw(run) {
    if (run.computes) draw_length(run, scene(state.run).main);
  },
  restart(run) {
    run.choice = run.length = run.counts = null;
  },
});
for (const run of runs) if (run.computes) PARTS[PARTS.length - 1].restart(run);
