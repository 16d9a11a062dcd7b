{
  forward(y, [x, target], { shapes }) {
    const width = shapes[0][shapes[0].length - 1];
    for (let r = 0; r < y.length; r++) {
      const top = largest(x, r * width, width);
      y[r] = top - x[r * width + target[r]] + log(exponentialTotal(x, r * width, width, top));
    }
  },
  vjp: [
    // g (softmax(x) − 1_target), equation 10.18
    (out, g, [x, target], y, { shapes }) => {
      const width = shapes[0][shapes[0].length - 1];
      for (let r = 0; r < g.length; r++) {
        if (g[r] === 0) continue;
        const from = r * width, top = largest(x, from, width), scale = g[r] / exponentialTotal(x, from, width, top);
        for (let i = 0; i < width; i++) out[from + i] += exp(x[from + i] - top) * scale;
        out[from + target[r]] -= g[r];
      }
    },
    null,
  ],
}
