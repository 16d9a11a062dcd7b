// The state as a script in Python.
const python_text = (text) => JSON.stringify(text).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
const python_tuple = (items) => `(${items.join(", ")}${items.length === 1 ? "," : ""})`;

function python_number(x) {
  if (Number.isNaN(x)) return "np.nan";
  if (!Number.isFinite(x)) return x > 0 ? "np.inf" : "-np.inf";
  return Object.is(x, -0) ? "-0.0" : String(x);
}

function python_value(x) {
  if (Array.isArray(x)) return python_tuple(x.map(python_value));
  if (x === null) return "None";
  if (typeof x === "boolean") return x ? "True" : "False";
  return typeof x === "number" ? python_number(x) : python_text(x);
}

function python_array(run, n) {
  const { dtype, shape } = run.of_kind(n);
  return `np.array([${Array.from(run.values[n], python_number).join(", ")}], "${dtype}").reshape(${python_tuple(shape)})`;
}

// A script that makes the graph of this page with the numbers that it has now, and prints the loss and its gradients:
// arrows that are cut are detached, losses that do not count are zeros, and a window is a backward pass for each remainder.
function python_of(run) {
  const mask = new Mask(run, run.structure === "chain" ? state.mask : "full", state.width), passes = Array.from({ length: mask.passes }, (_, r) => r).filter((r) => reaches(run, mask, r));
  const several = passes.length > 1, graph = [], indent = several ? "        " : "    ";
  const lines = [
    `"""${python_text(run.title).slice(1, -1)}, as a page of tinyseq left it: ${log_now().done.length} changes."""`, "", "import numpy as np", "", "import tinyseq as ts", "from tinyseq.tensor.handles import Tensor", "from tinyseq.tensor.leaves import as_tensor", "", "",
    "def op(name, *inputs, shape, dtype, arg=0, attrs=()):", "    index = tape.append(name, tuple(x.index for x in inputs), shape, dtype, attrs, arg)", "    return Tensor.at(tape, index)", "", "",
  ];
  if (several) lines.push("def cut(x, *passes):", "    return x.detach() if now in passes else x", "", "");
  for (let n = 0; n < run.n; n++) {
    if (run.of_kind(n).op === "parameter") lines.push(python_parameter(run, n));
    graph.push(...python_node(run, n, mask, passes).map((line) => indent + line));
  }
  const sums = run.ledgers.map((ledger) => `p${ledger.leaf}`);
  lines.push(`parameters = [${sums.join(", ")}]`, "gradients = [np.zeros(p.shape) for p in parameters]");
  if (several) lines.push(`for now in ${python_tuple(passes)}:  # a window: the losses of steps that leave this remainder by ${mask.k}`);
  const outer = several ? "    " : "";
  lines.push(`${outer}with ts.Tape() as tape:`, ...graph, "");
  lines.push(...(passes.length ? [`${outer}n${run.loss}.backward()`, `${outer}gradients = [g if p.grad is None else g + p.grad for g, p in zip(gradients, parameters)]`] : []), ...(several ? [`${outer}for p in parameters:`, `${outer}    p.grad = None`] : []));
  lines.push(`print("loss", repr(float(n${run.loss}.value)))`, ...run.ledgers.map((ledger, i) => `print(${python_text(ledger.name)}, repr(float(np.linalg.norm(gradients[${i}]))))`));
  return `${lines.join("\n")}\n`;
}

// Whether a pass of a mask brings a gradient to a parameter.
function reaches(run, mask, pass) {
  const grads = backward_pass(run, mask, pass);
  return run.ledgers.some((ledger) => grads?.[ledger.leaf]);
}

const changed_mark = (run, n) => (run.is_leaf(n) && run.value_changed(n) ? "  # changed" : "");

function python_parameter(run, n) {
  const { attrs, name } = run.of_kind(n);
  return `p${n} = ts.Parameter(${python_array(run, n)}, ${python_text(name)}${attrs.fixed ? ", trainable=False" : ""})${changed_mark(run, n)}`;
}

function python_node(run, n, mask, passes) {
  const code = ["float32", "float64", "int64"], { op, attrs, shape, dtype, name } = run.of_kind(n);
  if (op === "parameter") return [`n${n} = as_tensor(p${n})`];
  if (op === "input" || run.held.has(n)) return [`n${n} = ts.tensor(${python_array(run, n)}, ${python_text(name)})${changed_mark(run, n)}`];
  const inputs = run.edges(n).sort((a, b) => run.place[a] - run.place[b]).map((e) => `${python_input(run, n, e, mask, passes)}, `).join("");
  const own = Object.entries(attrs).map(([key, value]) => `(${python_text(key)}, ${python_attribute(run, n, key, value)})`);
  const line = `n${n} = op(${python_text(op)}, ${inputs}shape=${python_tuple(shape)}, dtype=${code.indexOf(dtype)}${run.arg[n] ? `, arg=${run.arg[n]}` : ""}${own.length ? `, attrs=${python_tuple(own)}` : ""})${name ? `  # ${name.replace(/\s+/g, " ")}` : ""}`;
  const kept = kept_numbers(run, n), gain = run.gains?.get(n);
  if (gain) return [line, `n${n} = n${n} * ts.tensor(np.array([${Array.from(gain, python_number).join(", ")}], "${dtype}").reshape(${python_tuple(shape)}))  # an average over the steps that are left`];
  return kept ? [line, `n${n} = n${n} * ts.tensor(np.array([${kept.map(Number).join(", ")}], "${dtype}").reshape(${python_tuple(shape)}))  # losses that count`] : [line];
}

// What a node reads along an arrow: zeros of a loss that does not count, else the value, with or without its gradient.
function python_input(run, n, e, mask, passes) {
  const x = run.source[e], { shape, dtype } = run.of_kind(x);
  if (reads_nothing(run, n, x)) return `ts.tensor(np.zeros(${python_tuple(shape)}, "${dtype}"))`;
  if (!run.form[e]) return `n${x}`;
  const stopped = passes.filter((r) => run.blocks(n, e) || mask.blocks(n, e, r));
  if (!stopped.length) return `n${x}`;
  return stopped.length === passes.length ? `n${x}.detach()` : `cut(n${x}, ${stopped.join(", ")})`;
}

// Constants of an op are floats, whatever JavaScript makes of 2.0.
function python_attribute(run, n, key, value) {
  const text = python_value(value);
  return OPS[run.of_kind(n).op].floats.includes(key) && /^-?\d+$/.test(text) ? `${text}.0` : text;
}
