"""The eight series of TRAINING.md as CSV files, a column each: python -m torch_impl.tests.series_sets FOLDER.

From what statsmodels and Matplotlib ship, so that nothing is downloaded. Then, for each NAME:

    python -m torch_impl train regressor --data NAME.csv --output NAME-run
    python -m torch_impl evaluate NAME-run
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import cbook
from statsmodels import datasets
from statsmodels.datasets import elec_equip


def series() -> dict[str, np.ndarray]:
    """Name -> float64 [rows], oldest first."""
    goog: Any = cbook.get_sample_data("goog.npz")
    macro = datasets.macrodata.load_pandas().data  # quarters
    return {
        "elec_equip": elec_equip.load_pandas().data.iloc[:, 0].to_numpy(float),  # months
        "sunspots": datasets.sunspots.load_pandas().data["SUNACTIVITY"].to_numpy(float),  # years
        **{name: macro[name].to_numpy(float) for name in ("realgdp", "unemp", "cpi")},
        # A row per year of a column per month, January first, one year after the other.
        "elnino": datasets.elnino.load_pandas().data.loc[:, "JAN":"DEC"].to_numpy(float).ravel(),
        "goog": goog["price_data"]["close"].astype(float),  # days of trading
        # Weeks, of which 59 are missing: on the line between their neighbours.
        "co2": datasets.co2.load_pandas().data["co2"].interpolate(method="linear").to_numpy(float),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in series().items():
        np.savetxt(folder / f"{name}.csv", values, header=name, comments="", fmt="%.10g")
        print(f"{name}: {len(values)} rows")


if __name__ == "__main__":
    main()
