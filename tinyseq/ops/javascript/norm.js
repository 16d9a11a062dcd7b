{
  // scaled by the largest |x|, so that nothing overflows
  forward(y, [x], site) {
    const [outer, reduced, inner] = extentOf(site);
    for (let r = 0; r < outer; r++) {
      for (let i = 0; i < inner; i++) {
        let top = 0, total = 0;
        for (let j = 0; j < reduced; j++) {
          const value = abs(x[(r * reduced + j) * inner + i]);
          if (!(value <= top) && top === top) top = value;
        }
        if (top > 0 && top < Infinity) {
          for (let j = 0; j < reduced; j++) total += (x[(r * reduced + j) * inner + i] / top) ** 2;
        }
        y[r * inner + i] = top > 0 && top < Infinity ? top * sqrt(total) : top;
      }
    }
  },
  vjp: [
    (out, g, [x], y, site) => {
      const [outer, reduced, inner] = extentOf(site);
      for (let r = 0; r < outer; r++) {
        for (let j = 0; j < reduced; j++) {
          for (let i = 0; i < inner; i++) {
            const at = (r * reduced + j) * inner + i, norm = y[r * inner + i];
            if (norm !== 0) out[at] += g[r * inner + i] * (x[at] / norm);
          }
        }
      }
    },
  ],
}
