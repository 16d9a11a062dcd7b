// The address: all that makes up the state of the page.
const SHORT = { run: "run", k: "k", by: "by", fold: "fold", heat: "heat", log: "log", parameter: "p", track: "of", mask: "mask", width: "w", pinned: "n", unit: "u", leaf: "leaf", place: "at", embed: "embed" };
const START = { ...state };
let saved = "", later = 0;

// While a slider is dragged the address waits: a browser takes its time for each.
function save() {
  clearTimeout(later);
  if (window.event?.type === "input" && window.event.target?.type === "range") later = setTimeout(save_now, 200);
  else save_now();
}

function save_now() {
  const parts = new URLSearchParams();
  for (const key in SHORT) if (state[key] !== START[key]) parts.set(SHORT[key], String(state[key]));
  for (const part of PARTS) part.save?.(parts);
  const hash = parts.toString();
  if (hash === saved) return;
  saved = hash;
  try { history.replaceState(null, "", `#${hash}`); } catch { location.hash = hash; }
}

function restore() {
  const parts = new URLSearchParams(location.hash.slice(1));
  Object.assign(state, START);
  for (const key in SHORT) {
    const given = parts.get(SHORT[key]);
    if (given === null) continue;
    if (typeof START[key] === "boolean") state[key] = given === "true";
    else if (typeof START[key] === "number") state[key] = Number.isFinite(Number(given)) ? Math.trunc(Number(given)) : START[key];
    else state[key] = given;
  }
  if (!runs[state.run]) state.run = 0;
  const { k } = state;
  for (const part of PARTS) part.restore?.(parts);
  state.k = k; // an event of the walk that the parts have made
  state.embed = parts.has("embed");
  document.documentElement.classList.toggle("embedded", state.embed);
  if (!["full", "window", "chunk"].includes(state.mask)) state.mask = "full";
  if (!["op", "stage"].includes(state.by)) state.by = "op";
  state.width = Math.min(Math.max(state.width, 1), Math.max(run_now().given_total, 1));
  state.track = Math.min(Math.max(state.track, 0), run_now().tracks.length - 1);
  state.parameter = Math.min(Math.max(state.parameter, 0), Math.max(run_now().ledgers.length - 1, 0));
  saved = parts.toString();
}
