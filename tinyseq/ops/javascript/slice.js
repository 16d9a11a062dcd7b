{
  forward(y, [x], { attrs, shapes, shape }) {
    const inner = sizeOf(shape.slice(attrs.axis + 1)), part = shape[attrs.axis] * inner, whole = shapes[0][attrs.axis] * inner;
    for (let i = 0; i < y.length; i++) y[i] = x[Math.floor(i / part) * whole + attrs.start * inner + (i % part)];
  },
  vjp: [
    (out, g, x, y, { attrs, shapes, shape }) => {
      const inner = sizeOf(shape.slice(attrs.axis + 1)), part = shape[attrs.axis] * inner, whole = shapes[0][attrs.axis] * inner;
      for (let i = 0; i < g.length; i++) out[Math.floor(i / part) * whole + attrs.start * inner + (i % part)] += g[i];
    },
  ],
}
