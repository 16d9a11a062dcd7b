// All of the page drawn once more, its lists, its keys, and its start.
function render() {
  const run = run_now();
  state.k = Math.min(Math.max(state.k, 0), run.end);
  const phase = run.phase(state.k);
  if (document.documentElement.dataset.phase !== phase) document.documentElement.dataset.phase = phase;
  for (const name of ["forward", "backward", "update"]) $(`to-${name}`).setAttribute("aria-pressed", String(phase === name));
  for (const [name, on] of [["fold", state.fold], ["heat", state.heat], ["log", state.log]]) $(name).setAttribute("aria-pressed", String(on));
  $("fold").hidden = !scene(state.run).folded;
  [...$("runs").children].forEach((b, i) => b.setAttribute("aria-pressed", String(i === state.run)));
  const slider = $("position"), text = sentence(run, state.k, data.rate, run.computes ? clip_now(run) : 1);
  slider.max = run.end;
  slider.value = state.k;
  slider.setAttribute("aria-valuetext", `${state.k} of ${run.end}: ${text}`);
  draw_mask(run);
  draw_graph(run);
  legend(run);
  draw_inside(run);
  draw_strip(run);
  draw_memory(run);
  inspector(run, focus(run), view_of(run));
  draw_ledger(run);
  for (const part of PARTS) part.draw?.(run);
  if (playing) $("say").setAttribute("aria-live", "off");
  else $("say").setAttribute("aria-live", "polite");
  $("say").textContent = text;
  if (state.k > 0) $("guide").hidden = true;
  save();
}

function lists() {
  const run = run_now(), options = (select, names, chosen) => {
    select.replaceChildren(...names.map((name, i) => element("option", { value: i, ...(i === chosen ? { selected: "" } : {}) }, name)));
    select.value = String(chosen);
  };
  options($("parameter"), run.ledgers.map((l) => l.name), state.parameter);
  options($("track"), run.tracks.map((t) => t.name || "node"), state.track);
  $("track-label").hidden = run.tracks.length < 2;
  $("mask").value = state.mask;
  $("mask-k").value = state.width;
  $("mask-k").max = Math.max(run.given_total, 1);
  $("by").value = state.by;
  $("by").options[1].textContent = stage_word(run);
  document.querySelectorAll(".stage-word").forEach((w) => { w.textContent = stage_word(run); });
  for (const [id, way] of [["back-stage", "back"], ["next-stage", "on"]]) $(id).setAttribute("aria-label", `One ${stage_word(run)} ${way}`);
  const left = [];
  if (!run.whole) left.push(`This page holds ${run.held.toLocaleString("en")} of the ${run.of.toLocaleString("en")} nodes that the loss depends on: the first and the last steps; strip and ledger are of all.`);
  if (run.whole && run.view.columns.length && run.total > run.view.columns.length) left.push(`The graph draws ${run.view.columns.length} of ${run.total.toLocaleString("en")} steps.`);
  if (!run.full && run.cap) left.push(`Of arrays with more than ${run.cap} numbers, the norm and ${run.cap} sampled units are kept; norms are of all.`);
  if (data.missing.length) left.push(`This page shows numbers that were stored and can't be changed: it has no JavaScript for ${data.missing.join(", ")}.`);
  else if (!run.computes) left.push("This page shows numbers that were stored and can't be changed: the whole of this run is too large for a page that computes.");
  $("banner").textContent = left.join(" ");
  $("banner").hidden = !left.length;
}

const KEYS = {
  ArrowRight: (shift) => move(1, shift ? "stage" : "op"), ArrowLeft: (shift) => move(-1, shift ? "stage" : "op"),
  Home: () => go(0), End: () => go(run_now().end), " ": () => play(!playing),
  f: () => toggle("fold"), g: () => toggle("heat"), l: () => toggle("log"), "?": () => $("help").showModal(),
  Escape: () => { state.pinned = -1; render(); },
  n: () => choose_node(1), p: () => choose_node(-1),
};

function toggle(what) {
  state[what] = !state[what];
  render();
}

function on_key(event) {
  if (document.querySelector("dialog[open]")) return;
  if (PARTS.some((part) => part.keys?.(event))) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const kind = event.target.tagName, typed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (kind === "SELECT" || (kind === "INPUT" && event.target.id !== "position")) return;
  const pressed = (kind === "BUTTON" || kind === "SUMMARY") && !event.target.closest("dialog"); // a closed one can keep the focus for a moment
  if (typed === " " && pressed) return;
  const act = KEYS[typed];
  if (!act) return;
  event.preventDefault();
  if (typed.startsWith("Arrow") || typed === "Home" || typed === "End") play(false);
  act(event.shiftKey);
}

function listen() {
  const click = { first: () => go(0), last: () => go(run_now().end), back: () => move(-1, "op"), next: () => move(1, "op"), "back-stage": () => move(-1, "stage"), "next-stage": () => move(1, "stage"), play: () => play(!playing), "to-forward": () => go(1), "to-backward": () => go(run_now().F + 1), "to-update": () => go(run_now().F + run_now().B + 1), fold: () => toggle("fold"), heat: () => toggle("heat"), log: () => toggle("log"), "help-open": () => $("help").showModal(), "guide-close": () => { $("guide").hidden = true; } };
  for (const id in click) $(id).addEventListener("click", () => { if (id !== "play") play(false); click[id](); });
  $("position").addEventListener("input", () => { play(false); go(Number($("position").value)); });
  const choose = (id, key, read = Number) => $(id).addEventListener("change", () => { state[key] = read($(id).value); lists(); render(); });
  choose("parameter", "parameter");
  choose("track", "track");
  choose("mask", "mask", String);
  choose("mask-k", "width", (v) => Math.min(Math.max(Math.round(Number(v)) || 1, 1), Math.max(run_now().given_total, 1)));
  $("by").addEventListener("change", () => { state.by = $("by").value; if (playing) play(true); save(); });
  $("graph").addEventListener("scroll", () => { followed.left = $("graph").scrollLeft; if (curves.strip?.x) { const run = run_now(), t = run.tracks[state.track], c = t.norm.length; shade_window(run, t, (i) => (c > 1 ? i / (c - 1) : 0.5)); } });
  $("strip").addEventListener("pointerdown", (event) => {
    scrub(event);
    $("strip").setPointerCapture(event.pointerId);
  });
  $("strip").addEventListener("pointermove", (event) => { if (event.buttons) scrub(event); });
  document.addEventListener("keydown", on_key);
  window.addEventListener("hashchange", () => { if (location.hash.slice(1) !== saved) { restore(); lists(); render(); } });
  window.addEventListener("resize", () => { measured.clear(); render(); });
  window.addEventListener("beforeprint", to_paper);
}

function help() {
  const swatch = (c) => element("span", { class: "swatch", style: `background:${c}` });
  $("help-heat").replaceChildren("Gradient norms, from small to large: ", ...data.heat.scale.map(swatch), "; exactly 0: ", swatch(data.heat.zero), "; not finite: ", swatch(data.heat.bad), ". The fill a node has at the start: no gradient has come to it yet, or none ever does. Pale: not computed yet.");
  const told = [["--forward", "forward: buttons, the walk, bars of terms that point the way of the sum"], ["--backward", "backward; bars of terms against the sum; arrows that truncation or you have cut"], ["--update", "update"], ["--changed", "changed by you: nodes whose value or gradient is no longer that of the page as it was written"], ["--state", "a state"], ["--data", "an input or a target"], ["--param", "a parameter"], ["--loss", "a loss"]];
  $("help-colours").replaceChildren(...told.flatMap(([name, words]) => [element("dt", {}, element("span", { class: "swatch framed", style: `background:var(${name})` })), element("dd", {}, words)]));
}

document.documentElement.classList.add("scripted");
document.title = `${runs.map((r) => r.title).join(" and ")}, step by step`;
$("title").textContent = runs.map((r) => r.title).join(" and ");
if (runs.length > 1) $("runs").append(...runs.map((r, i) => element("button", { type: "button", onclick: () => switch_run(i) }, r.title)));
else $("runs").hidden = true;
START.parameter = state.parameter = first_parameter(runs[0]);
START.width = state.width = Math.min(5, Math.max(runs[0].given_total, 1));
help();
for (const part of PARTS) part.listen?.();
restore();
lists();
listen();
render();
window.stepper = { runs, state, go, move, render, terms, backward, Mask };
for (const part of PARTS) Object.assign(window.stepper, part.open);
