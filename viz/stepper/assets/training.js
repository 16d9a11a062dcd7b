// Training in the page: updates of all parameters that are learned, the rules those of tinyseq.train, and a record of
// each update: the parameters before it, the loss, the norm of the gradient.
const MOST_UPDATES = 2000;
const RULES = [
  { name: "SGD", slots: 0, step: (w, g, [], { rate }) => { for (let i = 0; i < w.length; i++) w[i] -= rate * g[i]; } },
  {
    name: "RMSprop", slots: 1,
    step: (w, g, [square], { rate }) => {
      for (let i = 0; i < w.length; i++) {
        square[i] = 0.9 * square[i] + 0.1 * g[i] * g[i];
        w[i] -= (rate * g[i]) / Math.sqrt(1e-6 + square[i]);
      }
    },
  },
  {
    name: "Adam", slots: 2,
    step: (w, g, [mean, square], { rate, count }) => {
      const unbias = 1 - 0.9 ** count, root = Math.sqrt(1 - 0.999 ** count);
      for (let i = 0; i < w.length; i++) {
        mean[i] = 0.9 * mean[i] + 0.1 * g[i];
        square[i] = 0.999 * square[i] + 0.001 * g[i] * g[i];
        w[i] -= ((rate / unbias) * mean[i]) / (Math.sqrt(square[i]) / root + 1e-8);
      }
    },
  },
];
const MASKS = ["full", "window", "chunk"];
const learned = (run) => run.ledgers.map((ledger) => ledger.leaf);

// The norm of the gradient by all parameters together.
const global_norm = (run, grads) => norm(learned(run).map((n) => (grads[n] ? norm(grads[n]) : 0)));

// What a gradient of some norm is multiplied by so that it is not longer than the clip.
const clipped = (size, clip) => (clip > 0 && size > clip && Number.isFinite(size) ? clip / size : 1);

// What the gradient is multiplied by before it is followed: the clip of the page, for what is shown of an update.
const clip_now = (run) => (run.computes ? clipped(global_norm(run, masked(run)?.grads ?? run.grads), Number($("clip").value)) : 1);

function update(run, [rule, rate, clip, mask, width]) {
  const grads = mask && run.structure === "chain" ? backward(run, new Mask(run, MASKS[mask], width)) : run.grads;
  const size = global_norm(run, grads), factor = clipped(size, clip);
  const leaves = learned(run), { name, slots, step } = RULES[rule];
  const entry = { loss: run.values[run.loss][0], norm: size, values: leaves.map((n) => run.values[n].slice()) };
  run.history.push(entry);
  if (run.optimiser?.name !== name) run.optimiser = { name, count: 0, slots: leaves.map((n) => Array.from({ length: slots }, () => run.executor.zeros(n))) };
  run.optimiser.count++;
  leaves.forEach((n, i) => {
    if (!grads[n]) return;
    step(run.values[n], factor === 1 ? grads[n] : grads[n].map((g) => g * factor), run.optimiser.slots[i], { rate, count: run.optimiser.count });
  });
  entry.moved = norm(leaves.map((n, i) => norm(run.values[n].map((v, j) => v - entry.values[i][j]))));
}

Object.assign(ACTIONS, {
  t: (run, [count, ...settings]) => {
    for (let i = 0; i < count; i++) {
      run.compute();
      update(run, settings);
    }
  },
});
Object.assign(FITS, {
  t: (run, [count, rule, rate, clip, mask, width]) => run.computes && count >= 1 && count <= MOST_UPDATES && RULES[rule] !== undefined && Number.isFinite(rate) && clip >= 0 && MASKS[mask] !== undefined && (mask === 0 || width >= 1),
});

const given_rate = data.rate;
let going = 0;

function settings_now() {
  const clip = Number($("clip").value);
  return [Number($("rule").value), data.rate, clip > 0 ? clip : 0, MASKS.indexOf(state.mask), state.mask === "full" ? 0 : state.width];
}

// So many updates more, from the one that is looked at.
function train(count) {
  const run = run_now(), log = log_now();
  if (run.looking !== null) forget_later(run, log);
  if (run.history.length + count > MOST_UPDATES) return stop();
  const settings = settings_now(), last = log.done[log.done.length - 1];
  if (last && last[0] === "t" && last.slice(2).join() === settings.join()) last[1] += count;
  else log.done.push(["t", count, ...settings]);
  log.undone = [];
  ACTIONS.t(run, [count, ...settings]);
  run.compute();
  render();
  if (!Number.isFinite(run.values[run.loss][0])) stop();
}

// Leave out of the list the updates after the one that is looked at, and all that was done after them.
function forget_later(run, log) {
  let left = run.looking;
  const kept = [];
  for (const action of log.done) {
    if (action[0] !== "t") kept.push(action);
    else if (left > 0) {
      kept.push(["t", Math.min(left, action[1]), ...action.slice(2)]);
      left -= action[1];
    }
    if (action[0] === "t" && left <= 0) break;
  }
  log.done = kept;
  replay(state.run);
}

// Look at the parameters as they were before update number k; all updates later, as they are.
function look_at(k) {
  const run = run_now();
  if (k >= run.history.length) replay(state.run);
  else {
    learned(run).forEach((n, i) => run.values[n].set(run.history[k].values[i]));
    run.looking = k;
    run.compute();
  }
  render();
}

function stop() {
  clearInterval(going);
  going = 0;
  if ($("train-run")) $("train-run").textContent = "Run";
}

function draw_training(run) {
  $("training").hidden = !run.computes;
  if (!run.computes) return;
  const now = { loss: run.values[run.loss][0], norm: global_norm(run, masked(run)?.grads ?? run.grads) }, looking = run.looking;
  const all = looking === null ? [...run.history, now] : run.history, count = run.history.length, at = looking ?? count;
  const xs = all.map((_, i) => (all.length > 1 ? i / (count || 1) : 0)), clip = Number($("clip").value);
  curves.loss ??= new Curve($("curve-loss"));
  curves.norm ??= new Curve($("curve-norm"));
  const key = `${state.run}|${count}|${looking}|${all.length && all[all.length - 1].loss}|${clip}`;
  const positive = all.every((e) => e.loss > 0);
  curves.loss.draw(key, [{ xs, ys: all.map((e) => e.loss), dots: true }], positive && spread(all.map((e) => e.loss)));
  curves.norm.draw(key, [{ xs, ys: all.map((e) => e.norm), dots: true }, ...(clip > 0 ? [{ xs: [0, 1], ys: [clip, clip] }] : [])], true);
  for (const curve of [curves.loss, curves.norm]) curve.mark(count ? at / count : 0);
  Object.assign($("update-at"), { max: count, disabled: !count });
  if (document.activeElement !== $("update-at") || Number($("update-at").value) !== at) $("update-at").value = at;
  const here = all[at] ?? now;
  $("update-at").setAttribute("aria-valuetext", `${at} of ${count} updates: loss ${show(here.loss)}`);
  $("train-now").textContent = `${at} of ${count} update${count === 1 ? "" : "s"}: loss ${show(here.loss, 5)}, ‖gradient‖ ${show(here.norm, 3)}${clip > 0 && here.norm > clip ? `, clipped to ${show(clip, 3)}` : ""}${step_text(here, clip)}`;
}

// How far an update moves the parameters: the one that was made from here, else the next one by gradient descent.
function step_text(here, clip) {
  if (here.moved !== undefined) return `; the parameters move by ‖Δθ‖ = ${show(here.moved, 3)}`;
  return Number($("rule").value) === 0 ? `; an update moves the parameters by rate × ${clip > 0 && here.norm > clip ? "clip" : "‖gradient‖"} = ${show(data.rate * here.norm * clipped(here.norm, clip), 3)}` : "";
}

// Whether positive numbers are so far apart that a logarithmic scale shows more.
const spread = (values) => values.reduce((a, b) => Math.max(a, b)) > 20 * values.reduce((a, b) => Math.min(a, b));

PARTS.push({
  draw: draw_training,
  listen() {
    $("rule").replaceChildren(...RULES.map((rule, i) => element("option", { value: i }, rule.name)));
    $("rate").value = data.rate;
    $("rate").addEventListener("change", () => {
      const rate = number_in($("rate").value); // what is no rate leaves the one before
      if (rate >= 0 && Number.isFinite(rate)) data.rate = rate;
      $("rate").value = data.rate;
      render();
    });
    $("clip").addEventListener("change", () => {
      const clip = number_in($("clip").value);
      $("clip").value = clip > 0 && Number.isFinite(clip) ? clip : "";
      render();
    });
    $("train-once").addEventListener("click", () => { stop(); train(1); });
    $("train-run").addEventListener("click", () => {
      if (going) return stop();
      $("train-run").textContent = "Stop";
      going = setInterval(() => train(1), 60);
    });
    $("update-at").addEventListener("input", () => { stop(); look_at(Number($("update-at").value)); });
  },
  leave: () => stop(),
  restart(run) {
    run.history = [];
    run.optimiser = null;
    run.looking = null;
  },
  save(parts) {
    const clip = Number($("clip").value);
    if (clip > 0) parts.set("clip", String(clip));
    if (data.rate !== given_rate) parts.set("rate", String(data.rate));
    if ($("rule").value > 0) parts.set("rule", $("rule").value);
  },
  restore(parts) {
    const number = (name, most = Infinity) => { const x = Number(parts.get(name) || NaN); return x >= 0 && x <= most && Number.isFinite(x) ? x : null; };
    $("clip").value = number("clip") || "";
    $("rate").value = data.rate = number("rate") ?? given_rate;
    $("rule").value = String(Math.trunc(number("rule", RULES.length - 1) ?? 0));
  },
  open: { train, look_at },
});
for (const run of runs) if (run.computes) PARTS[PARTS.length - 1].restart(run);
