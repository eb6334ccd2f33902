"""Images as sequences: one step per row of pixels. Pillow, of the extra `pictures`, is imported late."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from unrolled.errors import DataError
from unrolled.reading import open_regular

__all__ = ["IMAGE_SUFFIXES", "read_image"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_FORMATS = ("PNG", "JPEG", "BMP")
_MOST_PIXELS = 1 << 24


def read_image(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """The grey values of an image, float32 [rows, columns] from 0 (black) to 1 (white).

    Colours become grey by ITU-R 601-2 (Pillow's "L"), what is transparent becomes black. size: (rows, columns) to
    resize to, or None to leave it. Raises DataError for what is no such image.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError(
            "%s: reading images needs Pillow (%s); pip install 'unrolled[pictures]'" % (path, error)
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pieces of metadata that are not used here
            with open_regular(path) as stream, Image.open(stream, formats=_FORMATS) as image:
                columns, rows = image.size
                if rows * columns > _MOST_PIXELS:
                    raise DataError("%s: has %d x %d pixels, expected at most 2**24" % (path, rows, columns))
                if image.mode.startswith(("I", "F")):  # 16 bits of grey, which "L" would cut off
                    grey = Image.fromarray((np.asarray(image, np.float32) / 65535.0 * 255.0).clip(0, 255))
                elif "A" in image.getbands() or "transparency" in image.info:
                    solid = image.convert("RGBA")
                    grey = Image.alpha_composite(Image.new("RGBA", solid.size, (0, 0, 0, 255)), solid).convert("L")
                else:
                    grey = image.convert("L")
                if size is not None and grey.size != (size[1], size[0]):
                    grey = grey.resize((size[1], size[0]), Image.Resampling.LANCZOS)
                values = np.asarray(grey, np.float32)
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever they stumble on
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError("%s: cannot be read as an image (%s)" % (path, reason[:120])) from None
    return (values * np.float32(1.0 / 255.0)).clip(0.0, 1.0)
