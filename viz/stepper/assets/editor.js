// Changing numbers: what was done stands in a list, from which everything can be done again: undo is one less of it.
// An action is [name, ...numbers]; ``s`` sets one number of a leaf: ["s", leaf, place, value].
const ACTIONS = {
  s: (run, [n, place, value]) => {
    const numbers = run.values[n].slice();
    numbers[place] = value;
    run.put(n, numbers);
  },
};
const SAME = { s: 2 }; // numbers by which an action replaces the one before: two settings of one number are one

const logs = runs.map(() => ({ done: [], undone: [] }));
const log_now = () => logs[state.run];

// Do one thing more, or the last thing with another number.
function act(action) {
  note_action(log_now(), action);
  also_there(action);
  replay(state.run);
  render();
}

function note_action(log, action) {
  const last = log.done[log.done.length - 1], same = SAME[action[0]];
  if (last && same !== undefined && last.slice(0, same + 1).join() === action.slice(0, same + 1).join()) log.done.pop();
  log.done.push(action);
  log.undone = [];
}

// Do again all that is in the list, from the numbers that the page was written with.
function replay(number) {
  const run = runs[number];
  if (!run.computes) return;
  run.restart();
  for (const [name, ...numbers] of logs[number].done) ACTIONS[name]?.(run, numbers);
  run.compute();
}

function undo(back) {
  const log = log_now(), [from, to] = back ? [log.done, log.undone] : [log.undone, log.done];
  if (!from.length) return;
  stop();
  to.push(from.pop());
  replay(state.run);
  render();
}

function start_again() {
  stop();
  logs[state.run] = { done: [], undone: [] };
  replay(state.run);
  render();
}

// The list as text for the address, and back; what does not fit this page is left out.
const written = (log) => log.done.map((action) => action.join("_")).join("~");

function read_log(run, text) {
  const done = [];
  for (const part of (text ?? "").split("~")) {
    const [name, ...fields] = part.split("_"), numbers = fields.map(Number);
    if (Object.hasOwn(ACTIONS, name) && numbers.every((v) => !Number.isNaN(v)) && fits(run, name, numbers)) done.push([name, ...numbers]);
  }
  return { done, undone: [] };
}

const is_leaf_of = (run, n) => run.computes && Number.isInteger(n) && n >= 0 && n < run.n && run.is_leaf(n) && !is_list_of_rows(run, n);
const FITS = { s: (run, [n, place, value]) => is_leaf_of(run, n) && place in run.values[n] && fits_leaf(run, n, value) };
const fits = (run, name, numbers) => Boolean(FITS[name](run, numbers));

function fits_leaf(run, n, value) {
  return run.of_kind(n).dtype !== "int64" || (Number.isInteger(value) && value >= 0 && value < (run.limits.get(n) ?? Infinity));
}

// Where the numbers of a node come from: the leaf that it shows, and for each unit its place there; null for others.
function origin_of(run, n) {
  if (run.is_leaf(n)) return { leaf: n, places: null };
  const op = OPS[run.of_kind(n).op], inputs = inputs_of(run, n);
  if (!op?.arranges || op.joins) return null;
  const from = origin_of(run, inputs[0]);
  if (!from) return null;
  const given = [from.places ?? Float64Array.from({ length: run.values[from.leaf].length }, (_, i) => i), ...inputs.slice(1).map((x) => run.values[x])];
  const places = new Float64Array(size_of(run.shape(n)));
  op.forward(places, given, run.executor.sites[n]);
  return { leaf: from.leaf, places };
}

const leaves_of = (run) => Array.from({ length: run.n }, (_, n) => n).filter((n) => run.is_leaf(n) && run.values[n].length && !is_list_of_rows(run, n));

// The number that the editor is about: of the node that was clicked, else of the leaf that was chosen last.
function chosen_number(run) {
  const origin = state.pinned >= 0 && state.pinned < run.n ? origin_of(run, state.pinned) : null;
  if (origin && is_leaf_of(run, origin.leaf)) {
    const unit = view_of(run).unit(state.pinned);
    state.leaf = origin.leaf;
    state.place = origin.places ? origin.places[unit] : unit;
  }
  if (!is_leaf_of(run, state.leaf) || !run.values[state.leaf].length) state.leaf = run.ledgers[state.parameter]?.leaf ?? leaves_of(run)[0];
  state.place = Math.min(Math.max(state.place, 0), run.values[state.leaf].length - 1);
  return [state.leaf, state.place];
}

function leaf_name(run, n) {
  const kind = run.of_kind(n), changed = run.value_changed(n) ? " •" : "";
  const name = kind.name || (kind.op === "constant" ? `constant ${show(kind.attrs.value)}` : `${kind.op} %${run.index[n]}`);
  return `${name} ${shape_text(kind.shape)}${changed}`;
}

// The number that a text says, NaN where it says none: −0.5 and 0,5 are numbers, and so is inf.
function number_in(text) {
  const plain = text.trim().replace("−", "-").replace(",", "."), endless = /^([-+]?)(inf|infinity|∞)$/i.exec(plain);
  if (endless) return endless[1] === "-" ? -Infinity : Infinity;
  return /^[-+]?(\d|\.\d)/.test(plain) ? Number(plain) : NaN;
}

function draw_editor(run) {
  $("editor").hidden = !run.computes;
  if (!run.computes) return;
  const [n, place] = chosen_number(run), now = run.values[n][place], before = run.start.values[n][place], whole = run.of_kind(n).dtype === "int64";
  const leaves = leaves_of(run), select = $("leaf"), names = leaves.map((m) => leaf_name(run, m));
  if (select.dataset.names !== names.join("|")) {
    select.replaceChildren(...leaves.map((m, i) => element("option", { value: m }, names[i])));
    select.dataset.names = names.join("|");
  }
  select.value = String(n);
  $("edit-unit").max = run.values[n].length - 1;
  if (document.activeElement !== $("edit-unit")) $("edit-unit").value = place;
  $("edit-place").textContent = place_text(run.shape(n), place);
  if (document.activeElement !== $("edit-value") || number_in($("edit-value").value) !== now) $("edit-value").value = Number.isFinite(now) ? String(Number(now.toPrecision(6))) : minus(show(now));
  const slide = $("edit-slide"), most = whole ? (run.limits.get(n) ?? Math.max(before, 1) + 1) - 1 : Math.max(1, 2 * Math.abs(Number.isFinite(before) ? before : 1));
  Object.assign(slide, { min: whole ? 0 : -most, max: most, step: whole ? 1 : most / 200 });
  if (document.activeElement !== slide && !Number.isNaN(now)) slide.value = now;
  slide.setAttribute("aria-valuetext", show(now));
  $("edit-was").textContent = now === before || (now !== now && before !== before) ? "" : `was ${show(before)}`;
  const { done, undone } = log_now();
  $("undo").disabled = $("reset").disabled = !done.length;
  $("redo").disabled = !undone.length;
  const loss = run.values[run.loss][0], first = run.start.values[run.loss][0];
  $("edit-loss").replaceChildren(...name_of(run, run.loss), ` = ${show(loss, 5)}`, Object.is(loss, first) ? "" : `, was ${show(first, 5)}`);
}

function listen_editor() {
  const set = (value) => {
    const run = run_now(), [n, place] = chosen_number(run), whole = run.of_kind(n).dtype === "int64";
    const most = (run.limits.get(n) ?? Infinity) - 1, fit = whole ? Math.min(Math.max(Math.round(value), 0), most) : value;
    if (Number.isNaN(fit)) render(); // no number: what stood there stands there again
    else act(["s", n, place, fit]);
  };
  const typed = (id) => number_in($(id).value);
  $("edit-slide").addEventListener("input", () => set(typed("edit-slide")));
  $("edit-value").addEventListener("change", () => set(typed("edit-value")));
  $("edit-value").addEventListener("keydown", (event) => {
    const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    const step = Number($("edit-slide").step) || 1;
    $("edit-value").value = "";
    set(run_now().values[state.leaf][state.place] + way * step);
  });
  const let_go = () => { if (state.pinned >= 0) state.pinned = -1; };
  $("leaf").addEventListener("change", () => { let_go(); state.leaf = Number($("leaf").value); state.place = 0; render(); });
  $("edit-unit").addEventListener("change", () => { let_go(); state.place = Math.round(Number($("edit-unit").value)) || 0; render(); });
  $("undo").addEventListener("click", () => undo(true));
  $("redo").addEventListener("click", () => undo(false));
  $("reset").addEventListener("click", start_again);
  $("copy-python").addEventListener("click", () => {
    $("python-text").value = python_of(run_now());
    $("python").showModal();
    $("python-text").select();
  });
  $("python-copy").addEventListener("click", () => {
    $("python-text").select();
    if (navigator.clipboard) navigator.clipboard.writeText($("python-text").value).catch(() => document.execCommand("copy"));
    else document.execCommand("copy");
    $("python-copy").textContent = "Copied";
  });
}

PARTS.push({
  draw: draw_editor,
  listen: listen_editor,
  save(parts) {
    logs.forEach((log, i) => { if (log.done.length) parts.set(`do${i || ""}`, written(log)); });
  },
  restore(parts) {
    runs.forEach((run, i) => {
      const text = parts.get(`do${i || ""}`) ?? "";
      if (text === written(logs[i])) return;
      logs[i] = read_log(run, text);
      replay(i);
    });
  },
  keys(event) {
    const back = { z: !event.shiftKey, y: false }[event.key.toLowerCase()];
    if (!(event.ctrlKey || event.metaKey) || back === undefined || event.target.matches("input:not([type=range]), textarea")) return false;
    event.preventDefault();
    undo(back);
    return true;
  },
  open: { act, undo, python: () => python_of(run_now()) },
});
