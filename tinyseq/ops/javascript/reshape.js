{
  forward(y, [x]) { y.set(x); },
  vjp: [(out, g) => { for (let i = 0; i < g.length; i++) out[i] += g[i]; }],
}
