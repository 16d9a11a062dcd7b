// Numbers, names, equations and sentences. Text goes into the page as text, never as HTML.
const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const LOWERED = "₀₁₂₃₄₅₆₇₈₉";

const raise = (text) => [...String(text)].map((c) => RAISED[c] ?? c).join("");
const minus = (text) => String(text).replace(/-/g, "−");

// A number with a few significant digits: −0.1234, 1.23×10⁻⁵, ∞, NaN.
function show(x, digits = 4) {
  if (x === null || x === undefined) return "—";
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  if (Number.isInteger(x) && Math.abs(x) < 1e6) return minus(x);
  const size = Math.abs(x);
  if (size >= 1e-3 && size < 1e5) return minus(x.toPrecision(Math.max(digits, Math.ceil(Math.log10(size)))));
  const [head, tail] = x.toExponential(digits - 2).split("e");
  return `${minus(head)}×10${raise(Number(tail))}`;
}

function bytes_of(n) {
  if (n < 1024) return `${n} B`;
  return n < 1 << 20 ? `${show(n / 1024, 3)} KiB` : `${show(n / (1 << 20), 3)} MiB`;
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const name in attributes) {
    if (name === "class") made.className = attributes[name];
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), attributes[name]);
    else if (attributes[name] !== null) made.setAttribute(name, attributes[name]);
  }
  made.append(...children.filter((c) => c !== null && c !== ""));
  return made;
}

function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  made.append(...children);
  return made;
}

// A name as the book sets it: runs of (text, style) from the exporter.
function set_runs(runs) {
  const tag = { italic: "i", super: "sup", sub: "sub" };
  return runs.map(([text, style]) => (tag[style] ? element(tag[style], {}, text) : text));
}

const clock = (run, n) => {
  if (run.structure !== "chain" || run.is_leaf(n)) return "";
  return run.group[n] >= 0 ? minus(run.group[n]) : "";
};

// The node's name as elements: h⁽³⁾, or n₁₇ where it has none.
function name_of(run, n) {
  if (n === undefined) return ["…"]; // a node that the page does not hold
  const kind = run.of_kind(n), time = clock(run, n);
  if (kind.op === "constant") return [show(kind.attrs.value)];
  const base = kind.runs.length ? set_runs(kind.runs) : [element("i", {}, "n"), element("sub", {}, String(run.index[n]))];
  return time && kind.runs.length ? [...base, element("sup", {}, `(${time})`)] : base;
}

// The same as plain text: h(3), n₁₇.
function name_text(run, n) {
  const kind = run.of_kind(n), time = clock(run, n);
  if (kind.op === "constant") return show(kind.attrs.value);
  if (!kind.name) return `n${[...String(run.index[n])].map((d) => LOWERED[d]).join("")}`;
  return kind.name + (time ? `(${time})` : "");
}

const stage_word = (run) => ({ chain: "time step", tree: "height", bare: "line" })[run.structure];

function stage_text(run, n) {
  const g = run.group[n];
  if (g < 0) return g === -1 ? "before the first step" : "over all steps";
  if (run.structure === "chain") return `t = ${g}`;
  if (run.structure === "tree") return `height ${g}`;
  return run.of_kind(n).line || `line ${g + 1}`;
}

// A template with {a} {b} {c} {y} {k} {k0} {i} {all} filled in; ``fill`` gives a list of nodes or strings for each.
function filled(template, fill) {
  const out = [];
  template.split(/(\{\w+\})/).forEach((piece) => {
    const key = /^\{(\w+)\}$/.exec(piece);
    if (!key) out.push(piece);
    else out.push(...fill(key[1]));
  });
  return out;
}

// Left-out or silent parts of an affine: k a + c is written as one would.
function affine(attrs) {
  const { k, c } = attrs;
  const scaled = k === 1 ? "{a}" : k === -1 ? "−{a}" : `${show(k)} {a}`;
  return c === 0 ? scaled : `${scaled} ${c > 0 ? "+" : "−"} ${show(Math.abs(c))}`;
}

function value_template(run, n) {
  const kind = run.of_kind(n);
  if (kind.op === "affine") return affine(kind.attrs);
  if (kind.op === "matmul") return `{a}${kind.attrs.transpose_a ? "ᵀ" : ""} · {b}${kind.attrs.transpose_b ? "ᵀ" : ""}`;
  return kind.value;
}

function symbolic(run, n, template) {
  const xs = inputs_of(run, n);
  return filled(template, (key) => {
    if (key === "y") return name_of(run, n);
    if (key === "k") return [show(run.of_kind(n).attrs.k)];
    if (key === "i") return [String(run.arg[n])];
    if (key === "all") {
      const shown = xs.length > 4 ? [...xs.slice(0, 2), null, xs[xs.length - 1]] : xs;
      return shown.flatMap((x, i) => [...(i ? [", "] : []), ...(x === null ? ["…"] : x === undefined ? ["…"] : name_of(run, x))]);
    }
    const x = xs["abc".indexOf(key)];
    return x === undefined ? ["…"] : name_of(run, x);
  });
}

// Numbers of one unit put into a template; null where the op does not work unit by unit.
function numeric(run, n, template, unit) {
  const xs = inputs_of(run, n), size = size_of(run.shape(n));
  const number = (x) => {
    const a = run.array(run.value[x]);
    if (!a || (a.size !== 1 && a.size !== size)) return null;
    const v = Run.number(a, a.size === 1 ? 0 : unit);
    return v === undefined ? null : [v < 0 || Object.is(v, -0) ? `(${show(v)})` : show(v)];
  };
  let fits = true;
  const parts = filled(template, (key) => {
    if (key === "k") return [show(run.of_kind(n).attrs.k)];
    const x = key === "y" ? n : xs["abc".indexOf(key)];
    const found = x === undefined ? null : number(x);
    if (!found) fits = false;
    return found ?? ["…"];
  });
  return fits ? parts.join("") : null;
}

// Where in its array a unit stands: [0, 3].
function place_text(shape, flat) {
  if (!shape.length) return "";
  const at = shape.map((_, i) => Math.floor(flat / size_of(shape.slice(i + 1))) % shape[i]);
  return `[${at.join(", ")}]`;
}

const ELEMENTWISE = ["constant", "diagonal"];

// What multiplies the upstream gradient on the way to input number place, as a template.
function partial_template(run, n, place) {
  const kind = run.of_kind(n);
  if (kind.op === "affine") return show(kind.attrs.k);
  if (kind.op === "matmul") {
    const { transpose_a, transpose_b } = kind.attrs;
    if (place === 0) return transpose_b ? "{b}" : "{b}ᵀ";
    return transpose_a ? "{a}" : "{a}ᵀ";
  }
  return kind.partials[place] ?? kind.partials[0] ?? "";
}

// One sentence about an event, for those who listen and for those who read.
function sentence(run, k, rate, clip) {
  const n = run.node_at(k), phase = run.phase(k);
  if (phase === "start") return "Nothing is computed yet.";
  const where = run.group[n] >= 0 && !run.is_leaf(n) ? `${stage_text(run, n)}: ` : "";
  if (phase === "forward") return `Forward, ${where}${name_text(run, n)} = ${plain(symbolic(run, n, value_template(run, n) || run.of_kind(n).op))} is computed.`;
  if (phase === "update") return `Update: ${name_text(run, n)} becomes ${name_text(run, n)} − ${show(rate)}${clip < 1 ? ` × ${show(clip, 3)}, for the clip,` : ""} ∂L/∂${name_text(run, n)}.`;
  const reached = run.edges(n).filter((e) => run.form[e] !== 0);
  const start = n === run.loss ? "∂L/∂L is 1; " : "";
  if (!reached.length && !run.beyond[n]) return `Backward, ${where}the gradient of ${name_text(run, n)} goes no further.`;
  const names = [...new Set(reached.map((e) => name_text(run, run.source[e])))];
  if (run.beyond[n]) names.push(run.beyond[n] > 1 ? `${run.beyond[n]} nodes that this page does not hold` : "a node that this page does not hold");
  const list = names.length > 3 ? `${names.slice(0, 2).join(", ")} and ${names.length - 2} more` : names.join(" and ");
  return `Backward, ${where}${start}∂L/∂${name_text(run, n)} times the local slope is added to the gradient of ${list}.`;
}

const plain = (parts) => parts.map((p) => (typeof p === "string" ? p : p.textContent)).join("");
