{
  forward(y, [x], site) {
    const [outer, reduced, inner] = extentOf(site);
    for (let r = 0; r < outer; r++) {
      for (let i = 0; i < inner; i++) y[r * inner + i] = largest(x, r * reduced * inner + i, reduced, inner);
    }
  },
  vjp: [
    // to the first of the largest elements
    (out, g, [x], y, site) => {
      const [outer, reduced, inner] = extentOf(site);
      for (let r = 0; r < outer; r++) {
        for (let i = 0; i < inner; i++) {
          const best = y[r * inner + i];
          for (let j = 0; j < reduced; j++) {
            const at = (r * reduced + j) * inner + i;
            if (x[at] === best || x[at] !== x[at]) {
              out[at] += g[r * inner + i];
              break;
            }
          }
        }
      }
    },
  ],
}
