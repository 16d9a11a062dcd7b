// The strip over time, the memory curve, the ledger, what truncation leaves, and the legend of colours.
function draw_strip(run) {
  const track = run.tracks[Math.min(state.track, run.tracks.length - 1)], count = track.norm.length;
  const at = (i) => (count > 1 ? i / (count - 1) : 0.5), cut = masked(run), changed = run.computes && log_now().done.length > 0;
  const series = [{ xs: Array.from(track.norm, (_, i) => at(i)), ys: track.norm, dots: true }];
  if (cut && cut.grads) series.unshift({ xs: series[0].xs, ys: Array.from(track.node, (n) => (n >= 0 && cut.grads[n] ? norm(cut.grads[n]) : 0)), dots: true });
  else {
    runs.forEach((other, i) => {
      const mine = other.tracks.find((t) => t.name === track.name) ?? other.tracks[0];
      if (i !== state.run && mine) series.push({ xs: Array.from(mine.norm, (_, j) => j / Math.max(mine.norm.length - 1, 1)), ys: mine.norm, kind: "other" });
    });
    if (changed) series.push({ xs: series[0].xs, ys: Array.from(track.node, (n) => norm(run.start.grads[n])), kind: "before" });
  }
  curves.strip ??= new Curve($("strip"));
  curves.strip.draw(`${state.run}|${state.track}|${gradients.key}|${state.mask}|${runs.map((r) => r.version)}|${changed}`, series, state.log);
  const legend = cut ? (cut.grads ? [`● ${state.mask} of ${state.width}`, "┄ all of it"] : []) : runs.length > 1 || changed ? [`● ${run.title}`, ...runs.filter((r) => r !== run).map((r) => `┄ ${r.title}`), ...(changed ? ["┄ before the changes"] : [])] : [];
  if (state.log && track.norm.includes(0)) legend.push("○ exactly 0");
  if (track.norm.some((v) => !Number.isFinite(v))) legend.push("● at the top: not finite");
  $("strip-legend").textContent = legend.join("   ");
  const dots = $("strip").querySelectorAll("circle.of0");
  dots.forEach((dot, i) => {
    const n = track.node[i];
    dot.classList.toggle("waiting", !(n >= 0 && run.complete[n] >= 0 && run.complete[n] <= state.k));
  });
  const now = run.node_at(state.k), where = now < 0 ? 0 : place_on_track(run, track, now);
  curves.strip.mark(at(Math.max(where, 0)));
  shade_window(run, track, at);
  const name = track.name ? set_runs(run.of_kind(track.node.find((n) => n >= 0) ?? 0).runs) : ["node"];
  $("strip-title").replaceChildren("‖∂L/∂", ...name, "‖ over ", run.structure === "chain" ? "time" : run.structure === "tree" ? "the tree, leaves to root" : "the tape");
  const seen = track.node[where] ?? -1, known = seen >= 0 && run.complete[seen] >= 0 && run.complete[seen] <= state.k;
  $("strip-now").textContent = where < 0 || seen < 0 ? "" : `${stage_text(run, seen)}: ${known ? show(gradient_norm(run, seen)) : "not there yet"}`;
}

function place_on_track(run, track, now) {
  const exact = track.node.indexOf(now);
  if (exact >= 0 || run.structure === "bare") return exact >= 0 ? exact : nearest(track.node, now);
  if (run.position[now] < 0) return run.phase(state.k) === "update" || run.group[now] === -1 ? 0 : track.step.length - 1;
  return track.step.indexOf(run.position[now]);
}

function nearest(nodes, now) {
  let best = 0;
  nodes.forEach((n, i) => { if (Math.abs(n - now) < Math.abs(nodes[best] - now)) best = i; });
  return best;
}

function shade_window(run, track, at) {
  const box = $("graph"), columns = run.view.columns;
  if (state.fold || !columns.length) return curves.strip.shade(0, 0);
  const factor = followed.factor || 1, left = (followed.left || 0) / factor, right = left + room_of(box)[0] / factor;
  const seen = columns.filter(([, x]) => x >= left && x <= right).map(([t]) => track.step.indexOf(t)).filter((i) => i >= 0);
  if (seen.length) curves.strip.shade(at(Math.min(...seen)), at(Math.max(...seen)));
}

// A click on the strip goes to the moment when the gradient there is complete.
function scrub(event) {
  play(false);
  const run = run_now(), track = run.tracks[state.track], frame = $("strip").getBoundingClientRect(), count = track.norm.length;
  const share = (event.clientX - frame.left - 52) / Math.max(frame.width - 64, 1), i = Math.min(Math.max(Math.round(share * (count - 1)), 0), count - 1);
  const held = Array.from(track.node, (n, j) => [n, Math.abs(j - i)]).filter(([n]) => n >= 0).sort((a, b) => a[1] - b[1])[0];
  if (held && run.walked[held[0]] >= 0) go(run.walked[held[0]]);
}

function draw_memory(run) {
  curves.memory ??= new Curve($("memory"));
  const end = run.F + run.B, count = run.live.length, every = Math.max(1, Math.floor(count / 900));
  const xs = [], ys = [];
  for (let i = 0; i < count; i += every) { xs.push(i / end); ys.push(run.live.subarray(i, i + every).reduce((a, b) => Math.max(a, b))); } // no peak between two is lost
  curves.memory.draw(`memory${state.run}`, [{ xs, ys, area: true }], false, bytes_of);
  const k = Math.min(state.k, end);
  curves.memory.mark(k / end);
  curves.memory.shade(run.F / end, 1);
  $("memory-now").textContent = `${bytes_of(run.live[k])} held now, ${bytes_of(run.peak)} at most: values kept for backward, and gradients on their way; shaded while backward runs`;
}

function draw_ledger(run) {
  if (!run.ledgers.length) return;
  const ledger = run.ledgers[Math.min(state.parameter, run.ledgers.length - 1)], cut = masked(run), view = view_of(run);
  const summed = cut && cut.grads && run.full ? terms(run, ledger, cut.grads) : run.computes ? (ledger.checked ??= terms(run, ledger, null)) : null;
  const [table, rows] = ledger_rows(run, ledger, view, summed), box = $("ledger");
  const before = box.querySelectorAll("tbody tr").length;
  box.replaceChildren(table);
  if (before !== rows) box.scrollTop = box.scrollHeight;
  const name = set_runs(ledger.runs), foot = $("ledger-foot");
  if (rows < ledger.step.length || !rows) foot.replaceChildren(rows ? `${rows} of ${ledger.step.length} terms so far; they add up to ∂L/∂` : "The terms appear as backward walks; they add up to ∂L/∂", ...name, ".");
  else if (cut && summed) {
    const leaf = run.array(run.grad[ledger.leaf]).numbers, got = cut.grads[ledger.leaf], lost = norm(leaf.map((v, i) => v - (got ? got[i] : 0)));
    foot.replaceChildren("Truncated ‖∂L/∂", ...name, `‖ = ${show(summed.size)}; lost: ${show(lost)}, ${show((100 * lost) / (ledger.total || 1), 3)} % of the full gradient.`);
  } else {
    const mine = run.full ? (ledger.checked ??= terms(run, ledger, null)) : null;
    const before = view.before?.(ledger);
    foot.replaceChildren("‖∂L/∂", ...name, `‖ = ${show(ledger.total)}`, before && before.total !== ledger.total ? element("span", { class: "was" }, `, was ${show(before.total)},`) : "", ` = ‖Σ terms‖; ${run.computes ? near_terms(run, ledger, summed, before) : ""}residual ${show(run.computes ? mine.residual : ledger.residual, 3)}`, mine && !run.computes ? `; added up again by this page: ${show(mine.residual, 3)}.` : ".");
  }
  if (ledger.left_out) foot.append(` ${ledger.left_out.toLocaleString("en")} rows in the middle are left out.`);
}

function draw_mask(run) {
  $("mask-tools").hidden = run.structure !== "chain";
  $("mask-tools").classList.toggle("on", state.mask !== "full");
  $("mask-k-label").hidden = state.mask === "full";
  const note = $("mask-note"), cut = masked(run);
  note.hidden = !cut;
  if (!cut) return;
  const k = state.width, full = pairs_kept(run, "full", k), pairs = pairs_kept(run, state.mask, k), how = state.mask === "chunk" ? `Backward stops at the border of every ${k} steps` : `Each loss reaches back over ${k} step${k > 1 ? "s" : ""}, its own included`;
  const kept = `: of ${full.toLocaleString("en")} pair${full > 1 ? "s" : ""} (time of loss, time of use) ${pairs.toLocaleString("en")} ${pairs > 1 ? "are" : "is"} kept.`;
  note.textContent = how + kept + (cut.grads ? "" : " This page holds too few numbers to compute the truncated gradients; the cuts alone are shown.");
}

// The colours with the numbers they stand for, as far as this run has them.
function legend(run) {
  const { low, high, clipped, zero, bad } = scene(state.run), key = [low, high, clipped, zero, bad, state.heat, state.log, state.mask].join();
  if ($("legend").dataset.key === key) return;
  $("legend").dataset.key = key;
  const swatch = (c) => element("span", { class: "swatch", style: `background:${c}` });
  const power = (x) => `10${raise(Math.round(Math.log10(x)))}`, first = state.log ? `${clipped ? "≤ " : ""}${power(low)}` : "0";
  const parts = low ? ["‖∂L/∂node‖ ", `${first} `, ...data.heat.scale.map(swatch), ` ${power(high)}`] : ["‖∂L/∂node‖"];
  if (zero || state.mask !== "full") parts.push("   ", swatch(data.heat.zero), " exactly 0");
  if (bad) parts.push("   ", swatch(data.heat.bad), " not finite");
  $("legend").replaceChildren(...(state.heat ? parts : []));
}
