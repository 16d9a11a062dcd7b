{
  forward(y, [x, index], { shapes }) {
    const width = shapes[0][shapes[0].length - 1];
    for (let r = 0; r < y.length; r++) y[r] = x[r * width + index[r]];
  },
  vjp: [
    (out, g, [, index], y, { shapes }) => {
      const width = shapes[0][shapes[0].length - 1];
      for (let r = 0; r < g.length; r++) out[r * width + index[r]] += g[r];
    },
    null,
  ],
}
