{
  forward(y, [x], { arg, shape }) {
    const start = arg * sizeOf(shape.slice(1));
    y.set(x.subarray(start, start + y.length));
  },
  vjp: [
    (out, g, x, y, { arg, shape }) => {
      const start = arg * sizeOf(shape.slice(1));
      for (let i = 0; i < g.length; i++) out[start + i] += g[i];
    },
  ],
}
