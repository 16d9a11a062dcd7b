// The opened step: the operations inside of the box that the walk is at.
const inside_factor = (box, drawing) => Math.min(1.35, Math.max(0.5, (room_of(box)[0] - 4) / drawing.size[0]));

// What the tallest step of a run takes, with a bar to scroll by: all steps are given as much.
const tallest_inside = (run, box) => run.inside.drawings.reduce((most, drawing) => Math.max(most, Math.round(drawing.size[1] * inside_factor(box, drawing))), 60) + 16;

function draw_inside(run) {
  const n = focus(run), at = run.is_leaf(n) ? run.consumers[n].find((r) => run.part[r] >= 0) ?? run.consumers[n][0] ?? -1 : n, part = at >= 0 ? run.part[at] : -1;
  const box = $("inside");
  $("inside-title").textContent = part < 0 ? "Inside" : `Inside ${stage_text(run, at)}${run.of_kind(at).cell ? `, ${run.of_kind(at).cell}` : ""}`;
  box.style.setProperty("--tall", `${tallest_inside(run, box)}px`);
  if (part < 0) return box.replaceChildren(element("p", { class: "note" }, at < 0 ? "What reads this node is in steps that this page does not hold." : `This page opens ${run.inside.drawings.length} sorts of steps, and this one is of another sort; the inspector shows each operation.`));
  const [number, members] = run.inside.parts[part], picture = opened(run, number), drawing = run.inside.drawings[number];
  if (box.firstElementChild !== picture.svg) {
    box.replaceChildren(picture.svg);
    const factor = inside_factor(box, drawing);
    picture.svg.style.width = `${Math.round(drawing.size[0] * factor)}px`;
    picture.svg.style.height = `${Math.round(drawing.size[1] * factor)}px`;
  }
  picture.members = members;
  picture.vertices.forEach((g, v) => {
    const m = members[v];
    if (m === undefined) return;
    paint(g, node_state(run, m), fill_of(run, m));
    if (!g.classList.contains("pick")) {
      g.classList.add("pick");
      g.addEventListener("click", () => { const i = picture.members[v]; state.pinned = state.pinned === i ? -1 : i; state.unit = -1; render(); });
    }
  });
  const now = state.k ? run.node_at(state.k) : -1, phase = run.phase(state.k);
  picture.links.forEach((g, e) => {
    g.classList.toggle("lit", members[drawing.ends[e][1]] === now && phase !== "update");
    g.classList.toggle("backwards", phase === "backward");
  });
  const current = members.indexOf(n);
  if (current >= 0 && followed.inside !== `${state.run}|${n}`) follow(box, picture.vertices[current]);
  followed.inside = `${state.run}|${n}`;
}
