"""A table of one's own: sequences by group, missing cells, a split that parts no group, a model in ten lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from common import options

from tinyseq import data, train


def written(path: Path, rng: np.random.Generator) -> Path:
    """A table to try: stations whose temperature rises or falls; now and then the wind was not measured."""
    rows = ["station,day,temperature,wind,trend"]
    for station in range(60):
        up = rng.random() < 0.5
        for day in range(int(rng.integers(6, 12))):
            wind = "" if rng.random() < 0.1 else f"{rng.normal(5, 2):.1f}"
            temperature = 10 + (0.5 if up else -0.5) * day + rng.normal()
            rows.append(f"S{station},2024-03-{day + 1:02d},{temperature:.1f},{wind},{'rising' if up else 'falling'}")
    path.write_text("\n".join(rows) + "\n")
    return path


def main() -> None:
    asked = options(__doc__)
    rng = np.random.default_rng(0)
    path = written(asked.output / "weather.csv", rng)

    table = data.csv(path, target="trend", group="station", time="day", missing="hold")
    rest, test = table.split(0.25, rng=rng)  # no station on both sides
    learned, chosen = rest.split(0.2, rng=rng)
    model = train.model_for(learned, "lstm", 16, rng=rng, dropout=0.1)  # standardised by the part that is learned
    train.fit(
        model, learned, epochs=4 if asked.quick else 40, validation=chosen, keep="best", run=asked.output, rng=rng
    )
    print(table)
    print("held out:", model.evaluate(test))
    print("says of the first five:", [table.classes[k] for k in model.predict(test[:5])])
    print("written:", *sorted(asked.output.iterdir()), sep="\n")


if __name__ == "__main__":
    main()
