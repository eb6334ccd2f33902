"""The plots of the training commands, as PNG bytes. matplotlib is imported only here, and only when one is drawn."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from unrolled.showing import shown

__all__ = ["forecasts", "learning_curve", "png_of", "spelled_images", "truth_against_prediction"]

# Okabe and Ito's colours, which the colour-blind can tell apart.
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#666666"
_BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1), "frameon": False}  # where it hides no line
# Fonts of Linux, macOS and Windows for scripts that Matplotlib's own, DejaVu, lacks, in the order tried.
_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Hiragino Sans", "PingFang SC", "Microsoft YaHei",
    "Malgun Gothic", "Noto Sans Devanagari", "Noto Sans Thai", "Nirmala UI", "Leelawadee UI", "Arial Unicode MS",
    "Unifont",
)  # fmt: skip
_IMAGES_PER_LINE = 10
_CURVES = (
    ("train", "last training batch", _ORANGE, 1),
    ("validation", "validation set", _GREY, 1),
    ("test", "test set", _BLUE, 2),
)


def learning_curve(title: str, epochs: list[dict[str, Any]]) -> bytes:
    """Accuracies in percent, of the parts that were measured, and the mean loss over the epochs; epochs as in
    results.json, at least one."""
    figure, (upper, lower) = _figure(2, (9.5, 6.5))
    numbers = [epoch["epoch"] for epoch in epochs]
    marker = "o" if len(epochs) <= 30 else None
    style = {"marker": marker, "markersize": 4}
    for part, label, color, width in _CURVES:
        values = _measured(epochs, part + "_accuracy", 100)
        if values:
            upper.plot(numbers, values, color=color, linewidth=width, label=label, **style)
    upper.set_ylabel("accuracy (%)")
    upper.set_title(_plain(title), loc="left")
    upper.legend(**_BESIDE)
    lower.plot(numbers, [epoch["loss"] for epoch in epochs], color=_ORANGE, linewidth=1, label="training", **style)
    values = _measured(epochs, "validation_loss")
    if values:
        lower.plot(numbers, values, color=_GREY, linewidth=2, label="validation set", **style)
    lower.legend(**_BESIDE)
    lower.set_ylabel("mean loss")
    lower.set_ylim(bottom=0)
    lower.set_xlabel("epoch")
    lower.xaxis.get_major_locator().set_params(integer=True)
    return _png(figure)


def _measured(epochs: list[dict[str, Any]], key: str, unit: float = 1) -> list[float]:
    """A figure of each epoch, NaN for one that was trained without it; empty where all were."""
    values = [unit * epoch.get(key, np.nan) for epoch in epochs]
    return values if any(key in epoch for epoch in epochs) else []


def truth_against_prediction(title: str, x: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> bytes:
    """The series as a line, what was predicted as points, and the error below; each array [steps]."""
    figure, (upper, lower) = _figure(2, (8.5, 6), ratios=(3, 1))
    upper.plot(x, truth, color=_BLUE, linewidth=2, label="truth: f(x) = x sin(x) / 3 + 2 sin(5x)")
    upper.plot(x, prediction, color=_ORANGE, linestyle="none", marker="o", markersize=4, label="prediction")
    upper.set_ylabel("f(x)")
    upper.set_title(title, loc="left")
    upper.margins(y=0.2)
    upper.legend(loc="upper left", frameon=False, ncol=2)
    lower.axhline(0, color=_GREY, linewidth=1)
    lower.vlines(x, 0, prediction - truth, color=_ORANGE, linewidth=1.5)
    lower.set_ylabel("prediction - truth")
    lower.set_xlabel("x")
    return _png(figure)


def forecasts(title: str, epochs: list[dict[str, Any]], found: dict[str, Any] | None) -> bytes:
    """The errors over the epochs; and for the first columns the test part beside what was forecast, a row ahead.

    epochs: as in results.json, at least one. found: its "forecast", columns, truth and forecast [rows, columns].
    """
    found = found or {"columns": []}
    columns = found["columns"][:4]
    figure, axes = _figure(1 + len(columns), (9, 3 + 2.4 * len(columns)), shared=False)
    errors = np.atleast_1d(axes)[0]
    numbers = [epoch["epoch"] for epoch in epochs]
    for key, label, color in (("loss", "training", _ORANGE), ("validation_mse", "validation", _GREY),
                              ("test_mse", "test", _BLUE)):  # fmt: skip
        values = _measured(epochs, key)
        if values:
            errors.plot(numbers, values, color=color, label=label, linewidth=1.5)
    errors.set_yscale("log")
    errors.set_ylabel("MSE, scaled")
    errors.set_xlabel("epoch")
    errors.xaxis.get_major_locator().set_params(integer=True)
    errors.set_title(title, loc="left")
    errors.legend(**_BESIDE)
    for column, name in enumerate(columns):
        axis = axes[1 + column]
        axis.plot(np.array(found["truth"])[:, column], color=_BLUE, linewidth=2, label="truth, test part")
        axis.plot(np.array(found["forecast"])[:, column], color=_ORANGE, linewidth=1.2, label="forecast, 1 row ahead")
        axis.set_ylabel(_plain(name if len(name) <= 20 else name[:19] + "\u2026"))
        axis.set_xlabel("row")
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, frameon=False, ncol=2)
    return _png(figure)


def spelled_images(title: str, sections: list[tuple[str, np.ndarray, list[str], list[str]]]) -> bytes:
    """Images with the words spelled for them, a section below the other.

    sections: (its title, images [n, rows, columns] from 0 to 1, the words spelled, the right names), n at least 1. A
    right word is grey; a wrong one is orange and bold, with the right name in brackets below it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = [-(-len(words) // _IMAGES_PER_LINE) for _, _, words, _ in sections]
    figure = Figure(figsize=(11, 0.7 + sum(1.22 * count + 0.5 for count in lines)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    heights = [1.22 * count + 0.5 for count in lines]
    parts: Any = figure.subfigures(len(sections), 1, squeeze=False, height_ratios=heights)
    for part, count, (heading, images, words, names) in zip(parts.ravel(), lines, sections):
        part.suptitle(heading, x=0.01, ha="left", fontsize=11, color=_GREY)
        axes = part.subplots(count, _IMAGES_PER_LINE, squeeze=False).ravel()
        for axis in axes:
            axis.axis("off")
        for axis, image, word, name in zip(axes, images, words, names):
            axis.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            right = word == name
            text = word if right else "%s\n(%s)" % (word or "nothing", name)
            axis.set_title(text, fontsize=9, pad=3, color=_GREY if right else _ORANGE)
            axis.title.set_fontweight("normal" if right else "bold")
    return png_of(figure)


def _figure(rows: int, size: tuple[float, float], ratios: tuple[int, ...] | None = None, shared: bool = True) -> Any:
    """A figure on Agg's canvas, and its axes: outside pyplot, so no window and no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1, sharex=shared, gridspec_kw={"height_ratios": ratios or (1,) * rows})
    for axis in np.atleast_1d(axes):
        axis.grid(True, color="#dddddd", linewidth=0.8)
        axis.set_axisbelow(True)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    return figure, axes


def _plain(text: str) -> str:
    """A name as itself: no formula between dollar signs, no character that cannot be drawn."""
    return shown(text).replace("$", r"\$")


def _png(figure: Any) -> bytes:
    figure.set_layout_engine("tight")
    figure.align_ylabels()
    return png_of(figure)


def png_of(figure: Any) -> bytes:
    """The figure as PNG bytes, its texts in fonts for whatever scripts the machine has some for.

    No warning of Matplotlib's goes to the user: of a character that no font has, of labels that absurd values leave
    too little room.
    """
    from matplotlib.font_manager import get_font_names
    from matplotlib.text import Text

    installed = set(get_font_names())
    fonts = ["DejaVu Sans", *(name for name in _FONTS if name in installed)]
    for text in figure.findobj(Text):
        text.set_fontfamily(fonts)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure.savefig(stream, format="png")
    return stream.getvalue()
