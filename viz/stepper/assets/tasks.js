// Predict, then reveal: questions about the numbers of this run. An answer is checked within a hundredth; where it is
// wrong, the hint says which part is: the local derivative, the upstream gradient, or the sum.
const TOLERANCE = 0.01, MOST_TASKS = 5;
const near = (x, wanted) => Math.abs(x - wanted) <= TOLERANCE * Math.max(Math.abs(wanted), 1e-9);

// The tasks of a run: {ask, answer, upstream, local, parts, formula, k}; k is the event before the answer shows.
function tasks_of(run) {
  const key = `${run.version}`;
  if (run.tasks?.key === key) return run.tasks.list;
  const list = [slope_task, state_task, term_task, sum_task, eigenvalue_task, update_task, drop_task, (r) => slope_task(r, 1)].map((make) => make(run)).filter((t) => t && Number.isFinite(t.answer) && t.answer !== 0).slice(0, MOST_TASKS);
  run.tasks = { key, list };
  return list;
}

const middle = (list) => list[Math.floor(list.length / 2)];
const largest_place = (numbers) => numbers.reduce((best, v, i) => (Math.abs(v) > Math.abs(numbers[best]) ? i : best), 0);
const unit_name = (run, n, unit) => [...name_of(run, n), element("sub", {}, place_text(run.shape(n), unit))];
const gradient_name = (run, n, unit) => ["∂L/∂", ...unit_name(run, n, unit)];

// One backward step through a function that works on each unit: upstream times slope.
function slope_task(run, number = 0) {
  const all = Array.from(run.backward).filter((m) => (OPS[run.of_kind(m).op].drawn ?? []).includes("activation") && run.forms[run.form[run.pointer[m]]] === "diagonal");
  const able = all.filter((_, i) => i % Math.ceil(all.length / 12) === 0); // a dozen of them, from all over the walk
  if (!able.length) return null;
  const worth = (m) => run.slope(run.pointer[m]).map((slope, i) => Math.abs(run.grads[m][i] * slope * (1 - slope))); // a slope of 1 asks nothing
  const n = able.sort((a, b) => Math.max(...worth(b)) - Math.max(...worth(a)))[number];
  if (n === undefined) return null;
  const e = run.pointer[n], unit = largest_place(worth(n)), upstream = run.grads[n][unit], local = run.slope(e)[unit], y = run.values[n][unit];
  return {
    name: number ? "another local derivative" : "a local derivative", upstream, local, answer: upstream * local, parts: [upstream * local], k: run.walked[n] - 1,
    ask: ["Backward comes to ", ...name_of(run, n), " = ", ...symbolic(run, n, value_template(run, n)), ". The unit is ", ...unit_name(run, n, unit), ` = ${show(y)}, and `, ...gradient_name(run, n, unit), ` = ${show(upstream)}. What is sent back to `, ...name_of(run, run.source[e]), "?"],
    formula: `${bracket(upstream)} · ${bracket(local)} = ${show(upstream * local)}`,
  };
}

// The gradient of a state: what comes back along all arrows that leave it.
function state_task(run) {
  const several = Array.from(run.backward).filter((m) => run.readers[m].length > 1), states = several.filter((m) => run.readers[m].some(([r]) => delayed(run, r, m)));
  const n = middle(states.length ? states : several);
  if (n === undefined) return null;
  const unit = largest_place(run.grads[n]), parts = run.readers[n].map(([, e]) => run.pulled(e, (_, i) => run.grads[run.reader[e]][i])[unit]), last = Math.max(...run.readers[n].map(([r]) => run.walked[r]));
  return {
    name: "a state's gradient δ(t)", answer: run.grads[n][unit], upstream: NaN, local: NaN, parts, k: last - 1,
    ask: [`${run.readers[n].length} arrows leave `, ...name_of(run, n), ". Along them come back, for ", ...unit_name(run, n, unit), `: ${parts.map((v) => show(v)).join(", ")}. What is `, ...gradient_name(run, n, unit), "?"],
    formula: `${parts.map((v) => bracket(v)).join(" + ")} = ${show(run.grads[n][unit])}`,
  };
}

function chosen_ledger(run) {
  const square = features_of(run).square.map((leaf) => run.ledgers.find((l) => l.leaf === leaf));
  return square.find((l) => l.leaf === run.ledgers[first_parameter(run)]?.leaf) ?? square[0] ?? run.ledgers[0]; // whichever ledger is shown: a question stays
}

// One term of ∂L/∂W: δ of a unit times what stood at the other end of the weight.
function term_task(run) {
  const ledger = chosen_ledger(run);
  if (!ledger || !features_of(run).square.includes(ledger.leaf)) return null;
  let use = 0;
  const rows = Array.from(ledger.count, (count, row) => ({ row, n: ledger.uses[2 * use], place: ledger.uses[2 * use + 1], count, at: (use += count) })).filter((r) => r.count === 1);
  const row = middle(rows), { n, place } = row ?? {};
  if (!row || run.of_kind(n).op !== "matmul") return null;
  const e = run.pointer[n] + place, term = run.pulled(e, (_, i) => run.grads[n][i]), unit = largest_place(term), p = product(run, n), wide = run.shape(ledger.leaf)[1];
  const [i, j] = [Math.floor(unit / wide), unit % wide], { transpose_b } = run.of_kind(n).attrs, x = inputs_of(run, n)[1 - place];
  if (place !== 1 || p.batch !== 1) return null;
  const [out, from] = transpose_b ? [i, j] : [j, i], pairs = Array.from({ length: p.m }, (_, r) => [run.grads[n][r * p.n + out], run.values[x][r * p.ai + from * p.ap]]);
  const [upstream, local] = pairs[0];
  return {
    name: "a term of the ledger", answer: term[unit], upstream: p.m === 1 ? upstream : NaN, local: p.m === 1 ? local : NaN, parts: pairs.map(([a, b]) => a * b), k: run.walked[n] - 1,
    ask: ["The term of t = ", ledger.rows[row.row], " in ∂L/∂", ...set_runs(ledger.runs), ", at ", place_text(run.shape(ledger.leaf), unit), ": δ", element("sub", {}, String(out)), ` = ${pairs.map(([a]) => show(a)).join(", ")}, and `, ...name_of(run, x), element("sub", {}, String(from)), ` = ${pairs.map(([, b]) => show(b)).join(", ")}`, p.m > 1 ? ` (${p.m} sequences). What is it?` : ". What is it?"],
    formula: `${pairs.map(([a, b]) => `${bracket(a)} · ${bracket(b)}`).join(" + ")} = ${show(term[unit])}`,
  };
}

// ∂L/∂W is the sum of its terms.
function sum_task(run) {
  const ledger = chosen_ledger(run);
  if (!ledger || ledger.step.length < 2 || ledger.step.length > 24) return null;
  const { rows, sum } = (ledger.checked ??= terms(run, ledger, null)), unit = largest_place(sum), parts = rows.map((row) => row.term[unit]);
  return {
    name: "a weight's gradient", answer: sum[unit], upstream: NaN, local: NaN, parts, k: run.F + run.B - 1,
    ask: ["The terms of ∂L/∂", ...set_runs(ledger.runs), ` at ${place_text(run.shape(ledger.leaf), unit)}, the last step first: ${parts.map((v) => show(v, 3)).join(", ")}. What is the gradient of this weight?`],
    formula: `Σ = ${show(sum[unit])}`,
  };
}

// The eigenvalues add up to the trace.
function eigenvalue_task(run) {
  const leaf = features_of(run).square.length ? chosen_ledger(run).leaf : undefined, n = leaf === undefined ? 0 : run.shape(leaf)[0];
  if (n < 2 || n > 8) return null;
  const values = eigenvalues(Float64Array.from(run.values[leaf]), n);
  if (!values) return null;
  const real = values.findIndex(([, im]) => Math.abs(im) < 1e-9), asked = real >= 0 ? [real] : pair_of(values), share = asked.length;
  const trace = Array.from({ length: n }, (_, i) => run.values[leaf][i * n + i]).reduce((a, b) => a + b, 0), others = values.filter((_, i) => !asked.includes(i));
  const text = ([re, im]) => (Math.abs(im) < 1e-9 ? show(re, 3) : `${show(re, 3)} ${im < 0 ? "−" : "+"} ${show(Math.abs(im), 3)} i`);
  const known = others.length ? `Its eigenvalues are ${others.map(text).join(", ")}, and ` : "Its eigenvalues are ", im = show(Math.abs(values[asked[0]][1]), 3);
  return {
    name: "an eigenvalue", answer: values[asked[0]][0], upstream: NaN, local: NaN, parts: [trace, ...others.map(([re]) => -re)], k: state.k,
    ask: ["The diagonal of ", ...name_of(run, leaf), ` adds up to ${show(trace)}. ${known}`, share > 1 ? `a pair a ± ${im} i. What is a?` : "one more. Which?"],
    formula: `(${show(trace)} − (${others.map(([re]) => show(re, 3)).join(" + ") || "0"}))${share > 1 ? " / 2" : ""} = ${show(values[asked[0]][0])}`,
  };
}

// The places of an eigenvalue that is not real and of its conjugate.
function pair_of(values) {
  const [re, im] = values[0], other = values.findIndex((v, i) => i && Math.abs(v[0] - re) < 1e-6 && Math.abs(v[1] + im) < 1e-6);
  return [0, Math.max(other, 1)];
}

// One weight after one step of gradient descent.
function update_task(run) {
  const ledger = run.ledgers.reduce((best, l) => (l.total > best.total ? l : best)), n = ledger.leaf, unit = largest_place(run.grads[n]);
  const w = run.values[n][unit], g = run.grads[n][unit], parts = [w, -data.rate * g];
  return {
    name: "an update", answer: w - data.rate * g, upstream: NaN, local: NaN, parts, k: run.F + run.B + run.ledgers.indexOf(ledger),
    ask: ["Gradient descent with rate ", show(data.rate), ": ", ...unit_name(run, n, unit), ` = ${show(w)}, and its gradient is ${show(g)}. What is it after one update?`],
    formula: `${show(w)} − ${show(data.rate)} · ${bracket(g)} = ${show(w - data.rate * g)}`,
  };
}

// What one small step promises: the loss falls by rate times the square of the gradient's norm.
function drop_task(run) {
  const size = global_norm(run, run.grads), squares = run.ledgers.map((l) => -data.rate * l.total ** 2);
  return {
    name: "what a step promises", answer: -data.rate * size ** 2, upstream: NaN, local: NaN, parts: squares, k: run.F + run.B,
    ask: [`The gradient by all parameters has norm ${show(size)}; a small step of gradient descent with rate ${show(data.rate)} goes against it. By how much does the loss change, to first order?`],
    formula: `−${show(data.rate)} · ${show(size)}² = ${show(-data.rate * size ** 2)}`,
  };
}

// Which part of an answer is wrong.
function hint_for({ answer, upstream, local, parts }, x) {
  if (near(x, -answer)) return "The size is right and the sign is not: look at the sign of each factor.";
  if (parts.length > 1 && parts.some((part) => near(x, part))) return "The sum: this is one part alone; all that comes back is added.";
  if (parts.length > 2 && parts.some((part) => near(x, answer - part))) return "The sum: one part is missing.";
  if (near(x, upstream)) return "The local derivative: this is the upstream gradient alone, not yet multiplied by the slope.";
  if (near(x, local)) return "The upstream gradient: this is the local derivative alone; multiply by what comes from above.";
  if (Number.isFinite(upstream) && Number.isFinite(local)) {
    if (near(x, upstream + local)) return "The two are multiplied, not added.";
    return `The local derivative: your answer means a slope of ${show(x / upstream, 3)}; work it out from the value of the unit.`;
  }
  return parts.length > 1 ? "The sum: add up all parts, with their signs." : "Not yet: go through the factors one by one.";
}

const solved = () => (run_now().solved ??= new Set());
let task_at = 0;

let tasks_seen = true; // whether the card is on the screen: what nobody scrolled to is not worked out at every change

function draw_tasks(run) {
  const box = $("tasks");
  if (!tasks_seen && !box.hidden && run.tasks && run.computes) return; // a hidden card is on no screen, and may come back
  const list = run.computes ? tasks_of(run) : [];
  box.hidden = !list.length;
  if (!list.length) return;
  task_at = Math.min(task_at, list.length - 1);
  const task = list[task_at], key = `${state.run}|${run.version}|${task_at}`;
  $("task-done").textContent = `${list.filter((_, i) => solved().has(i)).length} of ${list.length} answered`;
  $("task-list").replaceChildren(...list.map((t, i) => element("button", { type: "button", "aria-pressed": String(i === task_at), title: t.name, "aria-label": `Task ${i + 1}: ${t.name}${solved().has(i) ? ", answered" : ""}`, onclick: () => { task_at = i; render(); } }, solved().has(i) ? `${i + 1} ✓` : String(i + 1))));
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  $("task-ask").replaceChildren(...task.ask);
  $("task-answer").value = "";
  $("task-hint").textContent = "";
}

function check_task() {
  const run = run_now(), task = tasks_of(run)[task_at], x = number_in($("task-answer").value);
  if (!Number.isFinite(x)) $("task-hint").textContent = "A number, please: -0.12 or 1e-4.";
  else if (near(x, task.answer)) {
    solved().add(task_at);
    $("task-hint").textContent = `Right: ${task.formula}.`;
    render();
  } else $("task-hint").textContent = hint_for(task, x);
}

function reveal_task() {
  const task = tasks_of(run_now())[task_at];
  $("task-hint").textContent = `${task.formula}.`;
  if (task.k !== state.k) go(Math.max(task.k + 1, 0));
}

PARTS.push({
  draw: draw_tasks,
  listen() {
    $("task-form").addEventListener("submit", (event) => { event.preventDefault(); check_task(); });
    $("task-show").addEventListener("click", reveal_task);
    new IntersectionObserver((entries) => {
      tasks_seen = entries[entries.length - 1].isIntersecting;
      if (tasks_seen) draw_tasks(run_now());
    }).observe($("tasks"));
  },
  save(parts) {
    if (task_at) parts.set("task", String(task_at + 1));
    runs.forEach((run, i) => { if (run.solved?.size) parts.set(`ok${i || ""}`, [...run.solved].sort().join(".")); });
  },
  restore(parts) {
    task_at = /^[1-9]$/.test(parts.get("task") ?? "") ? Number(parts.get("task")) - 1 : 0;
    runs.forEach((run, i) => { run.solved = new Set((parts.get(`ok${i || ""}`) ?? "").split(".").filter((t) => /^\d$/.test(t)).map(Number)); });
  },
  open: { tasks: () => tasks_of(run_now()) },
});
