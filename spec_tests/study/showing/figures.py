"""The figures of a report, as SVG text. matplotlib is imported only when one is drawn.

Colours are Okabe and Ito's, which the colour-blind can tell apart; lines differ in their dashes too, so that a print
without colour can be read. A figure is 4.8 inches wide: two fit beside each other on a desk, one on a phone.
"""

from __future__ import annotations

import io
import re
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from spec_tests.study.showing import titles

Results = Mapping[str, Any]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
MARKERS = "osD^vP*"
GREY = "#666666"
SIZE = (4.8, 3.3)  # inches
STYLE: Any = {
    "font.size": 9,
    "font.family": "sans-serif",
    "svg.fonttype": "none",  # text stays text: small files that can be searched
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def all_of(results: Results) -> dict[str, str]:
    """Name -> SVG, of those for which there are numbers."""
    found = {}
    for name, (_, draw) in FIGURES.items():
        svg = draw(results, name)
        if svg:
            found[name] = svg
    return found


def _drawn(name: str, draw: Callable[[Any, Any], Any], rows: int = 1, height: float = SIZE[1]) -> str:
    """The SVG of what `draw` puts on a figure's axes, without date and with ids of its own."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(dict(STYLE, **{"svg.hashsalt": name})):
        figure = Figure(figsize=(SIZE[0], height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(rows, 1)
        draw(figure, axes)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Several figures share a page, and their ids its name space.
    svg = re.sub(r'\bid="', 'id="%s-' % name, svg)
    return re.sub(r'(href="#|url\(#)', r"\g<1>%s-" % name, svg)


def styles(labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How each backend is drawn, in every figure."""
    return {
        label: {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place % len(DASHES)]}
        for place, label in enumerate(labels)
    }


def drift(program: str) -> Callable[[Results, str], str]:
    """The drift of the weights between backends, beside that of each against itself, in both dtypes."""

    def draw_drift(results: Results, name: str) -> str:
        pairs = [pair for pair in results["lockstep"]["pairs"] if pair["program"] == program]
        if not pairs:
            return ""

        both = list(dict.fromkeys((pair["one"], pair["other"]) for pair in pairs))

        def draw(figure: Any, axis: Any) -> None:
            for pair in pairs:
                colour = COLOURS[1] if pair["dtype"] == "float32" else COLOURS[0]
                named = "" if len(both) == 1 else ": %s, %s" % (pair["one"], pair["other"])
                marker = MARKERS[both.index((pair["one"], pair["other"])) % len(MARKERS)]
                shown = _positive(pair["steps"], pair["weights"])
                title = "between backends, %s%s" % (pair["dtype"], named)
                axis.plot(*shown, color=colour, linewidth=1.6, marker=marker, markersize=3, label=title)
            for number, (dtype, band) in enumerate(_own_drifts(pairs).items()):
                colour = COLOURS[1] if dtype == "float32" else COLOURS[0]
                axis.plot(*band, color=colour, linewidth=1.4, linestyle=DASHES[2], zorder=1 + number)
            axis.plot([], [], color=GREY, linestyle=DASHES[2], label="one backend against itself, one ulp away")
            axis.set_xscale("log")
            axis.set_yscale("log")
            axis.set_xlabel("optimizer steps")
            axis.set_ylabel("largest relative difference\nof the weights")
            figure.legend(loc="outside lower center", ncols=1)

        return _drawn(name, draw, height=SIZE[1] + 0.35 + 0.16 * (len(pairs) + 1))

    return draw_drift


def _positive(steps: Sequence[float], values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """What a logarithmic axis can show."""
    x, y = np.asarray(steps, float), np.asarray(values, float)
    good = np.isfinite(y) & (y > 0)
    return x[good], y[good]


def _own_drifts(pairs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By dtype, the largest drift of any backend against itself."""
    found = {}
    for dtype in dict.fromkeys(pair["dtype"] for pair in pairs):
        own = [(pair["steps"], each["weights"]) for pair in pairs if pair["dtype"] == dtype for each in _own(pair)]
        if own:
            found[dtype] = _positive(own[0][0], np.max([weights for _, weights in own], axis=0))
    return found


def _own(pair: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(pair["itself"].values())


def learning_curves(results: Results, name: str) -> str:
    """Test accuracy by epoch, mean over the seeds and a band of one standard deviation."""
    found = results["accuracy"]["backends"]
    if not any(len(curve) > 1 for each in found.values() for curve in each["test_accuracy"]):
        return ""  # one point is no curve
    style = styles(list(results["backends"]))

    def draw(_: Any, axis: Any) -> None:
        for label, each in found.items():
            curves = 100 * np.asarray(each["test_accuracy"], float)
            epochs, mean = np.arange(1, curves.shape[1] + 1), curves.mean(axis=0)
            marker = MARKERS[list(found).index(label) % len(MARKERS)] if len(epochs) <= 30 else None
            axis.plot(epochs, mean, label=label, linewidth=1.8, marker=marker, markersize=4, **style[label])
            if len(curves) > 1:
                spread = curves.std(axis=0, ddof=1)
                colour = style[label]["color"]
                axis.fill_between(epochs, mean - spread, mean + spread, color=colour, alpha=0.18, linewidth=0)
        axis.set_xlabel("epoch")
        axis.set_ylabel("test accuracy (%)")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(loc="lower right")

    return _drawn(name, draw)


def equivalence(results: Results, name: str) -> str:
    """The 90% interval of each difference in accuracy, beside the margin."""
    pairs = [pair for pair in results["accuracy"]["pairs"] if pair["low"] is not None]
    if not pairs:
        return ""

    def draw(_: Any, axis: Any) -> None:
        margin = 100 * pairs[0]["margin"]
        axis.axvspan(-margin, margin, color=COLOURS[2], alpha=0.15, linewidth=0)
        axis.axvline(0, color=GREY, linewidth=1)
        for place, pair in enumerate(pairs):
            axis.plot([100 * pair["low"], 100 * pair["high"]], [place] * 2, color=COLOURS[0], linewidth=2.5)
            axis.plot(100 * pair["difference"], place, "o", color=COLOURS[0], markersize=6)
        axis.set_ylim(len(pairs) - 0.5, -0.5)
        axis.set_yticks(range(len(pairs)), ["%s\n- %s" % (pair["one"], pair["other"]) for pair in pairs])
        axis.grid(False, axis="y")
        wide = 1.15 * max([2 * margin] + [100 * abs(pair[side]) for pair in pairs for side in ("low", "high")])
        axis.set_xlim(-wide, wide)
        axis.set_xlabel("difference, percentage points (shaded: the margin)")

    return _drawn(name, draw, height=1.2 + 0.55 * len(pairs))


def early_curves(results: Results, name: str) -> str:
    """The mean loss of the first steps, from each backend's own initial values."""
    found = results["accuracy"]["backends"]
    if not found or not all(each["early"] for each in found.values()):
        return ""
    style = styles(list(results["backends"]))

    def draw(_: Any, axis: Any) -> None:
        for label, each in found.items():
            axis.plot(range(1, len(each["early"]) + 1), each["early"], label=label, linewidth=1.5, **style[label])
        axis.set_xlabel("optimizer step")
        axis.set_ylabel("loss, mean over seeds")
        axis.legend()

    return _drawn(name, draw)


def series_curves(results: Results, name: str) -> str:
    """MSE by iteration, of each backend and form."""
    runs = results["series"]["runs"]
    if not runs:
        return ""
    style = styles(list(results["backends"]))

    def draw(_: Any, axis: Any) -> None:
        for run in runs:
            shown = dict(style[run["backend"]], linewidth=1.8 if run["projection"] == "stacked" else 0.9)
            title = "%s, %s" % (run["backend"], run["projection"])
            axis.plot(run["curve"]["steps"], run["curve"]["loss"], label=title, **shown)
        axis.set_yscale("log")
        axis.set_xlabel("iteration")
        axis.set_ylabel("mean squared error")
        axis.legend()

    return _drawn(name, draw)


def prediction(results: Results, name: str) -> str:
    """The last 100 points as each backend predicts them after training, beside the truth."""
    found, runs = results["series"], [run for run in results["series"]["runs"] if run["projection"] == "stacked"]
    if not runs:
        return ""
    style = styles(list(results["backends"]))

    def draw(_: Any, axis: Any) -> None:
        axis.plot(found["x"], found["truth"], color=GREY, linewidth=3, alpha=0.5, label="truth")
        for run in runs:
            axis.plot(found["x"], run["prediction"], label=run["backend"], linewidth=1.4, **style[run["backend"]])
        axis.set_xlabel("x")
        axis.set_ylabel("x sin(x) / 3 + 2 sin(5x)")
        axis.margins(y=0.25)
        axis.legend(ncols=2, loc="upper left")

    return _drawn(name, draw)


def cost(results: Results, name: str) -> str:
    """Seconds of every round, by backend: what the medians hide."""
    if not results["cost"]:
        return ""
    backends = {label: each for label, each in results["cost"]["backends"].items() if each["rounds"]}
    quantities = list(dict.fromkeys(quantity for each in backends.values() for quantity in each["rounds"]))
    if not quantities:
        return ""
    style = styles(list(results["backends"]))

    def draw(figure: Any, axis: Any) -> None:
        from spec_tests.study.showing.terminal_table import quantity_title

        for number, (label, each) in enumerate(backends.items()):
            offset = (number - (len(backends) - 1) / 2) * 0.22
            for place, quantity in enumerate(quantities):
                rounds = 1000 * np.asarray(each["rounds"].get(quantity, []), float)
                rounds = rounds[rounds > 0]
                where = np.full(len(rounds), place + offset)
                marker = MARKERS[number % len(MARKERS)]
                shown = label if place == 0 else None
                colour = style[label]["color"]
                axis.plot(rounds, where, marker, color=colour, alpha=0.45, markersize=4, linestyle="none", label=shown)
        axis.set_xscale("log")
        axis.set_yticks(range(len(quantities)), [quantity_title(each).replace(": ", ":\n") for each in quantities])
        axis.set_ylim(len(quantities) - 0.5, -0.5)
        axis.grid(False, axis="y")
        axis.set_xlabel("milliseconds, every round")
        figure.legend(loc="outside upper center", ncols=3)

    return _drawn(name, draw, height=1.2 + 0.6 * len(quantities))


# Name -> its title, which says what is to be seen; and how it is drawn.
FIGURES: dict[str, tuple[Callable[[Results], str], Callable[[Results, str], str]]] = {
    "drift-mnist": (titles.drift("mnist", "MNIST"), drift("mnist")),
    "drift-series": (titles.drift("series-stacked", "The series, stacked"), drift("series-stacked")),
    "learning-curves": (titles.learning, learning_curves),
    "equivalence": (titles.equivalence, equivalence),
    "early-curves": (titles.early, early_curves),
    "series-curves": (
        titles.always("The series from own initial values: mean squared error by iteration."),
        series_curves,
    ),
    "prediction": (titles.always("The series, shifted by one point, as each predicts it after training."), prediction),
    "cost": (titles.cost, cost),
}
