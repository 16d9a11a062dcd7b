{
  forward(y, [x], site) { eachStrided(site.shape, transposedStrides(site), (i, place) => { y[i] = x[place]; }); },
  vjp: [(out, g, x, y, site) => eachStrided(site.shape, transposedStrides(site), (i, place) => { out[place] += g[i]; })],
}
