// The chapter's quantities, for the runs that have them: spectral radius, gain of the inputs, forget bias, leak, which
// losses count, arrows cut by the reader.
const MOST_EIGEN = 64;

function features_of(run) {
  return (run.features ??= found_features(run));
}

// Whether an arrow from x to n brings something from another step.
const delayed = (run, n, x) => x !== undefined && run.in_time(n, x);

function found_features(run) {
  const square = new Set(), inputs = new Set(), biases = new Map(), leaks = [], all = Array.from({ length: run.n }, (_, n) => n);
  const carries = new Uint8Array(run.n); // whether something of an earlier step is in it
  for (const n of all) for (const x of inputs_of(run, n)) if (delayed(run, n, x) || (carries[x] && run.of_kind(n).step)) carries[n] = 1;
  const late = (n, x) => delayed(run, n, x) || inputs_of(run, x).some((y) => delayed(run, x, y));
  for (const n of all) {
    const xs = inputs_of(run, n), kind = run.of_kind(n);
    const p = xs.findIndex((x) => run.of_kind(x).op === "parameter"), other = xs[1 - p];
    const drawn = OPS[kind.op].drawn ?? [];
    if (drawn.includes("product") && p >= 0 && xs.length === 2 && run.shape(xs[p]).length === 2) {
      const [rows, columns] = run.shape(xs[p]);
      if (late(n, other) && rows === columns) square.add(xs[p]);
      else if (kind.step && run.position[n] > 0 && !carries[other]) inputs.add(xs[p]);
    }
    if (drawn.includes("gate") && xs.length === 2) {
      const state = xs.findIndex((x) => delayed(run, n, x)), gate = xs[1 - state];
      if (state >= 0 && run.of_kind(gate).op === "sigmoid") for (const bias of biases_below(run, gate)) biases.set(bias, gate);
    }
    if (kind.op === "affine" && kind.attrs.c === 0 && kind.attrs.k > 0 && kind.attrs.k < 1 && xs.some((x) => delayed(run, n, x))) leaks.push(n);
  }
  const { outer } = run, mixed = all.some((n) => outer.after[n] && inputs_of(run, n).some((x) => run.of_kind(x).op === "parameter"));
  const parts = run.structure === "chain" && !mixed && !outer.timed[run.loss] ? separated(run) : null;
  return {
    square: [...square].filter((n) => run.ledgers.some((l) => l.leaf === n)), turned: [...square], inputs: [...inputs], biases: [...biases.keys()],
    leaks: leaves_of_leak(run, leaks), alpha: leaks.length ? run.of_kind(leaks[0]).attrs.k : null, steps: parts?.steps ?? [], parts,
  };
}

// Vectors of parameters that are added on the way to a gate.
function biases_below(run, gate) {
  const found = [], stack = inputs_of(run, gate);
  while (stack.length) {
    const n = stack.pop(), { op } = run.of_kind(n);
    if (op === "parameter" && run.shape(n).length === 1) found.push(n);
    else if (op === "add" || op === "expand") stack.push(...inputs_of(run, n));
  }
  return found;
}

// α h⁻ + (1 − α) h̃: the nodes that multiply by α, and those that multiply by 1 − α.
function leaves_of_leak(run, leaks) {
  const alphas = new Set(leaks), others = new Set(), k = leaks.length ? run.of_kind(leaks[0]).attrs.k : 0;
  for (let n = 0; n < run.n; n++) {
    const { op, attrs, cell } = run.of_kind(n);
    if (op !== "affine" || attrs.c !== 0 || !leaks.length || cell !== run.of_kind(leaks[0]).cell) continue;
    if (Math.abs(attrs.k - (1 - k)) < 1e-12 && !alphas.has(n)) others.add(n);
    else if (Math.abs(attrs.k - k) < 1e-12) alphas.add(n); // the first step's, whose state is given
  }
  return [[...alphas], [...others]];
}

const scaled = (run, n, factor) => run.put(n, run.values[n].map((x) => x * factor));

Object.assign(ACTIONS, {
  r: (run, [n, radius]) => {
    const now = radius_of(eigenvalues(Float64Array.from(run.values[n]), run.shape(n)[0]));
    if (now > 0) scaled(run, n, radius / now);
  },
  g: (run, [factor]) => { for (const n of features_of(run).inputs) scaled(run, n, factor); },
  b: (run, [n, value]) => run.put(n, run.values[n].map(() => value)),
  a: (run, [alpha]) => {
    features_of(run).leaks.forEach((nodes, other) => {
      for (const n of nodes) run.alter(n, { k: other ? 1 - alpha : alpha });
    });
  },
  c: (run, [from, to]) => { if (!run.cuts.delete(`${from}>${to}`)) run.cuts.add(`${from}>${to}`); },
});
Object.assign(SAME, { r: 1, g: 0, b: 1, a: 0 });
Object.assign(FITS, {
  r: (run, [n, radius]) => features_of(run).turned.includes(n) && radius >= 0,
  g: (run, [factor]) => Number.isFinite(factor),
  b: (run, [n]) => is_leaf_of(run, n),
  a: (run, [alpha]) => features_of(run).leaks.length > 0 && alpha >= 0 && alpha <= 1,
  c: (run, [from, to]) => run.view.ends.some(([a, b]) => a === from && b === to),
});

// Which losses count: all, the last, the one of step s, those before step s.
const COUNTS = ["all", "the last", "one, of t =", "those up to t ="];

const last_action = (name, places = 0, ...fields) => log_now().done.findLast((a) => a[0] === name && fields.every((f, i) => a[1 + places + i] === f));

// A slider with its number and its name.
function knob(id, name, { min, max, step, value, words }, turn) {
  const box = $(id) ?? element("label", { class: "plain knob", id }, element("span", { class: "name" }), element("input", { type: "range", oninput: (event) => turn_now[id](Number(event.target.value)) }), element("output", {}));
  turn_now[id] = turn;
  box.querySelector(".name").replaceChildren(...name, " ");
  const slide = box.querySelector("input");
  Object.assign(slide, { min, max, step });
  if (document.activeElement !== slide) slide.value = Number.isNaN(value) ? max : value; // what is no number is beyond all
  box.querySelector("output").textContent = words ?? show(value, 3);
  return box;
}

const turn_now = {};

function draw_knobs(run) {
  const box = $("knobs"), has = features_of(run), parts = [];
  const chosen = has.square.includes(run.ledgers[state.parameter]?.leaf) ? run.ledgers[state.parameter].leaf : has.square[0] ?? has.turned[0]; // that of a reservoir is given, not learned
  if (chosen !== undefined && run.shape(chosen)[0] <= MOST_EIGEN) {
    const values = eigenvalues(Float64Array.from(run.values[chosen]), run.shape(chosen)[0]), radius = radius_of(values);
    parts.push(circle(values), knob("knob-radius", ["spectral radius ρ(", ...name_of(run, chosen), ")"], { min: 0, max: 3, step: 0.01, value: radius }, (v) => act(["r", chosen, v])));
  }
  if (has.inputs.length) {
    const gain = last_action("g")?.[1] ?? 1;
    parts.push(knob("knob-gain", ["gain of the inputs"], { min: 0, max: 4, step: 0.05, value: gain, words: `× ${show(gain, 3)}` }, (v) => act(["g", v])));
  }
  for (const [i, bias] of has.biases.slice(0, 2).entries()) {
    const value = run.values[bias].reduce((a, b) => a + b, 0) / run.values[bias].length;
    parts.push(knob(`knob-bias-${i}`, ["forget bias ", ...name_of(run, bias)], { min: -6, max: 6, step: 0.1, value }, (v) => act(["b", bias, v])));
  }
  if (has.alpha !== null) parts.push(knob("knob-leak", ["leak α"], { min: 0, max: 1, step: 0.01, value: last_action("a")?.[1] ?? has.alpha }, (v) => act(["a", v])));
  if (has.steps.length > 1) parts.push(losses_chooser(run, has));
  parts.push(...length_knobs(run));
  if (run.cuts.size) parts.push(element("span", { class: "note" }, `✂ ${run.cuts.size} arrow${run.cuts.size > 1 ? "s" : ""} cut: no gradient goes back along ${run.cuts.size > 1 ? "them" : "it"}`));
  const old = [...box.children];
  if (old.length !== parts.length || parts.some((part, i) => part !== old[i])) {
    const active = box.contains(document.activeElement) && parts.includes(document.activeElement.closest("#knobs > *"));
    if (!active) box.replaceChildren(...parts);
    else parts.forEach((part, i) => { if (box.children[i] !== part && !part.contains(document.activeElement)) box.insertBefore(part, box.children[i] ?? null); });
    for (const part of [...box.children]) if (!parts.includes(part)) part.remove();
  }
  box.hidden = !parts.length;
}

function losses_chooser(run, { steps }) {
  const [, mode = 0, s = steps[steps.length - 1]] = last_action("l") ?? [];
  const box = $("knob-losses") ?? element("span", { class: "knob", id: "knob-losses" },
    element("label", { class: "plain" }, "losses that count ", element("select", { id: "losses", onchange: () => chosen_losses() }, ...COUNTS.map((name, i) => element("option", { value: i }, name)))),
    element("input", { type: "number", id: "losses-step", "aria-label": "time step of the loss", onchange: () => chosen_losses() }));
  const [select, step] = [box.querySelector("select"), box.querySelector("input")];
  select.value = String(mode);
  Object.assign(step, { min: steps[0], max: steps[steps.length - 1], hidden: mode < 2 });
  if (document.activeElement !== step) step.value = s;
  return box;
}

function chosen_losses() {
  const { steps } = features_of(run_now()), s = Math.min(Math.max(Math.round(Number($("losses-step").value)), steps[0]), steps[steps.length - 1]);
  act(["l", Number($("losses").value), s]);
}

// Eigenvalues in the plane, with the unit circle.
function circle(values) {
  const box = $("circle") ?? drawn("svg", { id: "circle", class: "circle", viewBox: "-1 -1 2 2", role: "img" });
  const most = Math.max(1, radius_of(values) || 1) * 1.12, unit = 1 / most, dots = (values ?? []).map(([re, im]) => drawn("circle", { class: Math.hypot(re, im) > 1 + 1e-9 ? "beyond" : "within", cx: re * unit, cy: -im * unit, r: 0.065 }));
  box.replaceChildren(drawn("line", { x1: -1, x2: 1, y1: 0, y2: 0 }), drawn("line", { x1: 0, x2: 0, y1: -1, y2: 1 }), drawn("circle", { class: "unit", cx: 0, cy: 0, r: unit }), ...dots);
  box.setAttribute("aria-label", values ? `Eigenvalues: ${values.length}, the largest of size ${show(radius_of(values), 3)}` : "Eigenvalues: not finite");
  return box;
}

// A click on an arrow of the graph cuts it, as detach would, or mends it.
function cut_arrows(run) {
  const { links } = scene(state.run).main;
  links.forEach((g, e) => {
    const [a, b] = run.view.ends[e], can = gradient_goes(run, a, b);
    g.classList.toggle("severed", run.cuts.has(`${a}>${b}`));
    if (!can || g.classList.contains("can-cut")) return;
    g.classList.add("can-cut");
    g.prepend(...[...g.querySelectorAll("path:not(.h)")].map((path) => drawn("path", { class: "reach-for", d: path.getAttribute("d") })));
    g.addEventListener("click", () => act(["c", a, b]));
  });
}

// The same by keys: a button beside each arrow that leaves a node, where the graph draws that arrow.
function cut_button(run, x, n) {
  const [a, b] = [run.owner[x], run.owner[n]], cut = run.cuts.has(`${a}>${b}`);
  if (a < 0 || b < 0 || a === b || !run.view.ends.some(([from, to]) => from === a && to === b)) return "";
  return element("button", { type: "button", class: "small", "aria-pressed": String(cut), title: "as detach does: the value crosses, the gradient does not", onclick: () => act(["c", a, b]) }, cut ? "✂ mend" : "✂ cut");
}

// Whether a gradient goes back along some arrow between what two drawn nodes stand for.
function gradient_goes(run, a, b) {
  run.pairs ??= new Set(Array.from(run.source, (x, e) => (run.form[e] ? `${run.owner[x]}>${run.owner[run.reader[e]]}` : "")));
  return run.pairs.has(`${a}>${b}`);
}

PARTS.push({
  draw(run) {
    if (!run.computes) return;
    draw_knobs(run);
    cut_arrows(run);
  },
  open: { eigenvalues, features_of },
});
