// Inspector and ledger: one node with its numbers, and the terms that add up to a parameter's gradient.
const MOST_UNITS = 64, MATRIX = 16;

function inspector(run, n, view) {
  const box = $("inspector"), kind = run.of_kind(n), known = run.computed[n] <= view.k || run.is_leaf(n);
  const where = [kind.cell && `${kind.cell}`, stage_text(run, n), shape_text(kind.shape), kind.dtype].filter(Boolean);
  const parts = [
    element("div", { class: "head" }, element("h2", {}, ...name_of(run, n)), element("span", { class: "op" }, kind.op), view.pinned ? element("button", { type: "button", class: "small", onclick: view.release }, "let go") : ""),
    element("p", { class: "note" }, where.join(" · ")),
    kind.line ? element("p", { class: "code" }, element("span", {}, kind.line), kind.code ? element("code", {}, kind.code) : "") : "",
  ];
  const value = run.array(run.value[n]), grad = view.grads(n);
  if (run.is_leaf(n)) parts.push(...leaf(run, n, view, grad));
  else parts.push(equation(run, n, view, known));
  if (value && value.size > 1) parts.push(unit_picker(run, n, view, value));
  const slopes = !run.is_leaf(n) && known && run.walked[n] >= 0 ? backward_steps(run, n, view, grad) : [];
  const table = numbers(run, n, view, known ? value : null, grad);
  parts.push(...(run.phase(view.k) === "backward" ? [...slopes, table] : [table, ...slopes]));
  if (run.returning[n]) parts.push(arrivals(run, n, view));
  box.replaceChildren(...parts.filter((p) => p !== ""));
}

const shape_text = (shape) => (shape.length ? shape.join("×") : "scalar");

function leaf(run, n, view, grad) {
  const op = run.of_kind(n).op;
  const said = { parameter: run.of_kind(n).attrs.fixed ? "A fixed parameter: it is given, and it is not learned." : "A parameter: it is given, and it is what is learned.", input: "Data: it is given. It is not learned, so no gradient is kept for it.", constant: "A constant: the code says its value. It is not learned, so no gradient is kept for it." }[op];
  const out = [element("p", { class: "note" }, said)];
  if (op === "parameter" && run.phase(view.k) === "update") {
    const value = run.array(run.value[n]), unit = view.unit(n), g = grad && Run.number(grad, unit);
    const line = [...name_of(run, n), " ← ", ...name_of(run, n), view.clip < 1 ? " − η (clip / ‖g‖) ∂L/∂" : " − η ∂L/∂", ...name_of(run, n)], factor = view.rate * view.clip;
    out.push(element("div", { class: "equation" }, element("p", {}, ...line),
      value && g !== undefined && grad ? element("p", { class: "with-numbers" }, `${show(value.numbers[unit])} − ${show(view.rate)}${view.clip < 1 ? ` · ${show(view.clip, 3)}` : ""} · ${bracket(g)} = ${show(value.numbers[unit] - factor * g)}`) : ""));
  }
  return out;
}

const bracket = (x) => (x < 0 ? `(${show(x)})` : show(x));

function equation(run, n, view, known) {
  const template = value_template(run, n), unit = view.unit(n), value = run.array(run.value[n]);
  const symbols = template ? symbolic(run, n, template) : [run.of_kind(n).equation];
  const lines = [element("p", {}, ...name_of(run, n), " = ", ...symbols)];
  if (known && value) {
    const y = Run.number(value, unit), put = template ? numeric(run, n, template, unit) ?? spelled(run, n, unit) : null;
    lines.push(element("p", { class: "with-numbers" }, put ? `${put} = ${show(y)}` : `= ${show(y)}`));
  } else lines.push(element("p", { class: "with-numbers" }, run.computed[n] === NEVER ? "after the end of the sequence" : "not computed yet"));
  return element("div", { class: "equation" }, ...lines);
}

// Sums and products of one unit, their first summands written out.
function spelled(run, n, unit) {
  const { op, attrs } = run.of_kind(n), xs = inputs_of(run, n);
  const join = (terms, count) => terms.join(" + ") + (count > terms.length ? ` + … (${count - terms.length} more)` : "");
  if (op === "matmul" && run.full) {
    const p = product(run, n), r = Math.floor(unit / (p.m * p.n)), i = Math.floor(unit / p.n) % p.m, j = unit % p.n;
    const a = run.array(run.value[p.a]).numbers, b = run.array(run.value[p.b]).numbers, terms = [];
    for (let q = 0; q < Math.min(p.k, 3); q++) {
      terms.push(`${bracket(a[r * p.m * p.k + i * p.ai + q * p.ap])}·${bracket(b[r * p.k * p.n + q * p.bp + j * p.bj])}`);
    }
    return join(terms, p.k);
  }
  if ((op === "sum" || op === "mean") && run.full) {
    const given = run.shape(xs[0]), [first, last] = attrs.axes;
    const reduced = size_of(given.slice(first, last)), inner = size_of(given.slice(last)), x = run.array(run.value[xs[0]]).numbers, terms = [];
    for (let q = 0; q < Math.min(reduced, 4); q++) terms.push(bracket(x[(Math.floor(unit / inner) * reduced + q) * inner + (unit % inner)]));
    const text = join(terms, reduced);
    return op === "mean" ? `(${text}) / ${reduced}` : text;
  }
  return null;
}

function unit_picker(run, n, view, value) {
  const unit = view.unit(n), stored = value.numbers.length;
  const field = element("input", { type: "number", min: 0, max: stored - 1, value: unit, "aria-label": "unit that the numbers are of" });
  field.addEventListener("change", () => view.choose(n, Math.min(Math.max(Math.round(Number(field.value)) || 0, 0), stored - 1)));
  return element("p", { class: "units" }, "numbers of unit ", field, ` of ${value.size.toLocaleString("en")}: ${place_text(run.shape(n), run.place_of(value.size, unit))}`,
    stored < value.size ? ` (${stored} of them sampled)` : "");
}

function numbers(run, n, view, value, grad) {
  const rows = [], unit = view.unit(n), stored = (value ?? grad)?.numbers.length ?? 0;
  const many = (value ?? grad)?.size ?? 0, first = Math.max(0, Math.min(unit - 4, stored - MOST_UNITS));
  const flows = run.begun[n] >= 0;
  for (let j = first; j < Math.min(stored, first + MOST_UNITS); j++) {
    const v = value ? show(Run.number(value, j)) : "", g = grad ? show(Run.number(grad, j)) : "";
    rows.push(element("tr", { class: j === unit ? "chosen" : null, onclick: () => view.choose(n, j) },
      element("th", { scope: "row" }, place_text(run.shape(n), run.place_of(many, j)) || "·"), element("td", {}, v), element("td", {}, g)));
  }
  const g_norm = view.grad_norm(n), head = element("tr", {}, element("th", {}, "unit"), element("th", {}, "value"), element("th", {}, "∂L/∂"));
  const foot = element("tr", { class: "norms" }, element("th", {}, "norm"), element("td", {}, value ? show(run.value_norm[n]) : "—"), element("td", {}, flows && grad ? show(g_norm) : "—"));
  return element("div", { class: "scroll numbers", tabindex: "0", role: "group", "aria-label": "values and gradients" },
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows), element("tfoot", {}, foot)));
}

// Upstream gradient times local Jacobian: what each backward step adds to each input.
function backward_steps(run, n, view, grad) {
  const edges = run.edges(n).filter((e) => run.form[e] !== 0), out = [], unit = view.unit(n);
  if (!edges.length && !run.beyond[n]) return [element("p", { class: "note" }, "No gradient passes on from here.")];
  const shown = edges.slice(0, 4), up = grad ? Run.number(grad, unit) : undefined;
  out.push(element("h3", {}, "One backward step: upstream × local slope → increment"));
  for (const e of shown) {
    const x = run.source[e], form = run.forms[run.form[e]], template = partial_template(run, n, run.place[e]);
    const slope = template ? symbolic(run, n, template) : ["∂", ...name_of(run, n), "/∂", ...name_of(run, x)];
    const compound = /[+−]/.test(plain(slope)) && !/^[−(]?[\w.]*$/.test(plain(slope));
    const upstream = ["∂L/∂", ...name_of(run, n)];
    const dot = ELEMENTWISE.includes(form) ? " ⊙ " : " · ";
    const wrapped = compound && ELEMENTWISE.includes(form) ? ["(", ...slope, ")"] : slope;
    let right = [...upstream, dot, ...wrapped];
    if (form === "product") right = matrix_rule(run, n, run.place[e]);
    const lines = [element("p", {}, "∂L/∂", ...name_of(run, x), element("b", {}, " += "), ...right)];
    if (ELEMENTWISE.includes(form) && up !== undefined) {
      const data = run.array(run.data[e]), d = Run.number(data, unit), put = numeric(run, n, template, unit);
      const worked = put && put !== show(d) && !/if/.test(put) ? ` [${put} = ${show(d)}]` : ` ${bracket(d)}`;
      lines.push(element("p", { class: "with-numbers" }, `${bracket(up)} ·${worked} = ${show(up * d)}`));
    } else if (!grad) lines.push(element("p", { class: "with-numbers" }, "∂L/∂y has not arrived yet"));
    lines.push(...jacobian(run, n, e, form));
    const size = run.increment_of(e);
    if (run.walked[n] <= view.k && view.masked === "full") lines.push(element("p", { class: "note" }, `‖increment‖ = ${show(size)}`));
    out.push(element("div", { class: "equation" }, ...lines));
  }
  const rest = edges.length - shown.length + run.beyond[n];
  if (rest) out.push(element("p", { class: "note" }, `… and ${rest.toLocaleString("en")} more input${rest > 1 ? "s" : ""}${run.beyond[n] ? `, ${run.beyond[n].toLocaleString("en")} of them not held by this page` : ""}`));
  return out;
}

// ∂L/∂A = G Bᵀ and ∂L/∂B = Aᵀ G, with the transposes of this product.
function matrix_rule(run, n, place) {
  const { transpose_a: ta, transpose_b: tb } = run.of_kind(n).attrs, [a, b] = inputs_of(run, n);
  const A = name_of(run, a), B = name_of(run, b), G = ["∂L/∂", ...name_of(run, n)], t = (yes) => (yes ? ["ᵀ"] : []);
  if (place === 0) return ta ? [...B, ...t(tb), " · (", ...G, ")ᵀ"] : [...G, " · ", ...B, ...t(!tb)];
  return tb ? ["(", ...G, ")ᵀ · ", ...A, ...t(ta)] : [...A, ...t(!ta), " · ", ...G];
}

// The local Jacobian ∂y/∂x: a matrix of at most 16 by 16, else its norm.
function jacobian(run, n, e, form) {
  const x = run.source[e], [length, exact] = run.jacobian_of(e), size = `‖∂y/∂x‖ ${exact ? "=" : "≈"} ${show(length)}`;
  const rows = size_of(run.shape(n)), columns = size_of(run.shape(x));
  const matrix = rows <= MATRIX && columns <= MATRIX && run.full ? dense(run, n, e, rows, columns) : null;
  if (!matrix) return [element("p", { class: "note" }, `local Jacobian ${rows}×${columns}: ${size}`)];
  const top = matrix.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 0) || 1, body = [];
  for (let i = 0; i < rows; i++) {
    const cells = [];
    for (let j = 0; j < columns; j++) {
      const v = matrix[i * columns + j], share = Math.round((Math.min(Math.abs(v) / top, 1) || 0) * 100);
      const words = rows <= 6 && columns <= 6 ? show(v, 3) : "";
      cells.push(element("td", { class: v < 0 ? "minus" : "plus", style: `--share:${share}%`, title: `∂y${i}/∂x${j} = ${show(v)}` }, words));
    }
    body.push(element("tr", {}, ...cells));
  }
  return [element("p", { class: "note" }, `local Jacobian ${rows}×${columns}, rows y, columns x: ${size}`), element("table", { class: "jacobian" }, ...body)];
}

// Rows of the Jacobian: what a 1 at each output alone would send back.
function dense(run, n, e, rows, columns) {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const g = new Float64Array(rows);
    g[i] = 1;
    if (!pull(run, n, e, g, out.subarray(i * columns, (i + 1) * columns))) return null;
  }
  return out;
}

// Arrows that leave a node on the tape, and how many of them bring a gradient back.
function arrows_text(leaving, returning) {
  const many = (n) => (n === 1 ? "One" : n.toLocaleString("en"));
  const leave = `${many(leaving)} arrow${leaving > 1 ? "s leave" : " leaves"} this node`;
  const back = returning === 1 ? "one gradient comes back" : `${many(returning)} gradients come back and are added: that is why +=`;
  return leaving === returning ? `${leave}${returning > 1 ? ", so" : ":"} ${back}.` : `${leave}; along ${returning === 1 ? "one" : many(returning)} of them ${back}.`;
}

// Why +=: every arrow that leaves a node brings a gradient home.
function arrivals(run, n, view) {
  const list = run.readers[n], all = run.returning[n], seen = list.filter(([r]) => run.walked[r] <= view.k).length;
  const here = seen + run.unseen[n].reduce((sum, [at, count]) => sum + (at <= view.k ? count : 0), 0);
  const shown = list.length > 10 || all > list.length ? [...list.slice(0, 5), null, ...list.slice(Math.max(list.length - 4, 5))] : list;
  const more = all - shown.length + 1, unseen = all - list.length;
  const rows = shown.map((pair) => {
    if (!pair) return element("li", {}, `… ${more.toLocaleString("en")} more${unseen ? `, ${unseen.toLocaleString("en")} of them from nodes that this page does not hold` : ""} …`);
    const [r, e] = pair, done = run.walked[r] <= view.k;
    return element("li", { class: done ? "done" : "waiting" }, "from ", ...name_of(run, r), done ? `: ‖increment‖ ${show(run.increment_of(e))}` : ": still to come", view.cut ? view.cut(n, r) : "");
  });
  return element("details", { ...(all > 1 ? { open: "" } : {}), class: "arrivals" }, element("summary", {}, `Gradient: ${here.toLocaleString("en")} of ${all.toLocaleString("en")} arrived`), element("p", { class: "note" }, arrows_text(run.leaving[n], all)), element("ul", {}, ...rows));
}

// How long the bar of a term was before anything was changed.
const was_bar = (size, top) => (size === undefined ? "" : element("span", { class: "was-bar", style: `width:${Math.round((60 * size) / top) || 0}px`, title: `was ${show(size, 3)}` }));

// The ledger of a parameter, filled as far as backward has walked.
function ledger_rows(run, ledger, view, summed) {
  const rows = [], before = view.before?.(ledger) ?? null, size_at = (i) => Math.max(summed ? summed.rows[i].size : ledger.numbers[4 * i + 1], before?.sizes.get(ledger.step[i]) ?? 0);
  const top = Array.from(ledger.step, (_, i) => size_at(i)).reduce((a, b) => (Number.isFinite(b) ? Math.max(a, b) : a), 0) || 1;
  let filled_ = 0;
  for (let i = 0; i < ledger.step.length; i++) {
    if (ledger.event[i] > view.k) break;
    filled_++;
    const [delta, size, cosine, running] = summed ? [summed.rows[i].delta, summed.rows[i].size, summed.rows[i].cosine, summed.rows[i].running] : ledger.numbers.subarray(4 * i, 4 * i + 4);
    const bands = view.bands && element("span", { class: "stack", style: `width:${Math.round((60 * size) / top) || 0}px` }, ...view.bands(i));
    const bar = bands || element("span", { class: cosine < 0 ? "bar against" : "bar", style: `width:${Math.round((60 * size) / top) || 0}px` });
    rows.push(element("tr", {}, element("th", { scope: "row" }, ledger.rows[i]), element("td", {}, show(delta, 3)), element("td", {}, show(size, 3)), element("td", { class: "bars" }, bar, was_bar(before?.sizes.get(ledger.step[i]), top)), element("td", {}, show(Math.round(cosine * 1000) / 1000, 3)), element("td", {}, show(running, 3))));
  }
  const word = { chain: "t", tree: "height", bare: "line" }[run.structure];
  const head = [word, "‖δ‖", "‖term‖", "", "cos", "‖Σ‖"].map((h) => element("th", { scope: "col" }, h));
  return [element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)), filled_];
}
