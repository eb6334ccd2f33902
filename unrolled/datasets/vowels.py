"""Japanese Vowels: short utterances of nine speakers, of different lengths.

After the line `@data` each line of a .ts file is one utterance: 12 channels (linear-prediction cepstrum coefficients)
separated by ':', each a comma-separated list with one number per frame, then ':' and the speaker, 1 to 9.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Iterator, NamedTuple

import numpy as np

from unrolled.datasets.reading import BUNDLED, check_sha256, find, opened, read_at_most
from unrolled.errors import DataError
from unrolled.own_data.scaling import ColumnScaling
from unrolled.reading import ROOM

__all__ = ["CHANNELS", "FILES", "SPEAKERS", "Utterances", "Vowels", "load", "read_ts", "scaling", "standardized"]

FILES = {
    "JapaneseVowels_TRAIN.ts": "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
    "JapaneseVowels_TEST.ts": "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",
}
"""The two files, and the SHA-256 of their uncompressed bytes."""

_MOST_BYTES = 1 << 24  # of text; the two files have less than 1 MiB each
CHANNELS = 12
SPEAKERS = 9


class Utterances(NamedTuple):
    """inputs float32 [n, steps, 12], zeros past each row's length, steps being the longest; lengths int64 [n], each at
    least 1; speaker int64 [n], 0 to 8 (the file's speaker minus one)."""

    inputs: np.ndarray
    lengths: np.ndarray
    speaker: np.ndarray


class Vowels(NamedTuple):
    """train: 270 utterances of 7 to 26 frames, 30 for each speaker; test: 370 of 7 to 29 frames."""

    train: Utterances
    test: Utterances


def load(folder: Path | str | None = None) -> Vowels:
    """Read both files, with or without .gz. folder: None is the bundled data set, its SHA-256 verified.

    Raises DataError for a file that is missing or altered, and for a malformed line, which it names by number.
    """
    place = BUNDLED / "japanese_vowels" if folder is None else Path(folder)
    train, test = (
        read_ts(find(place, name), sha256=sha256 if folder is None else None) for name, sha256 in FILES.items()
    )
    return Vowels(train, test)


def standardized(vowels: Vowels) -> Vowels:
    """Both parts with each channel shifted and scaled to mean 0 and standard deviation 1 over the valid frames of the
    training set; the padding stays zero. Computed in float64, given in float32."""
    found = scaling(vowels)

    def scaled(part: Utterances) -> Utterances:
        return part._replace(inputs=np.where(_valid(part)[:, :, None], found.apply(part.inputs), np.float32(0)))

    return Vowels(*(scaled(part) for part in vowels))


def scaling(vowels: Vowels) -> ColumnScaling:
    """The shift and scale by channel that `standardized` applies."""
    return ColumnScaling.fitted(vowels.train.inputs[_valid(vowels.train)])


def _valid(part: Utterances) -> np.ndarray:
    """Which frames are within the lengths: bool [n, steps]."""
    return np.arange(part.inputs.shape[1]) < part.lengths[:, None]


def read_ts(path: Path, sha256: str | None = None) -> Utterances:
    """The utterances of one .ts file, gzip when it ends in .gz. Raises DataError as `load` does."""
    with opened(path) as stream:
        content = read_at_most(stream, _MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise DataError("%s: is more than %d MiB of text; check that it is the right file" % (path, _MOST_BYTES >> 20))
    check_sha256(path, sha256, content)
    try:
        lines = io.StringIO(content.decode("utf-8"), newline=None)
    except UnicodeDecodeError:
        raise DataError("%s: is not a text file; check that it is the right file" % path) from None
    utterances = [_utterance(path, number, line) for number, line in _data_lines(path, lines)]
    if not utterances:
        raise DataError("%s: no utterance follows its line @data; get the file again" % path)
    lengths = np.array([len(frames) for frames, _ in utterances], dtype=np.int64)
    size = 4 * len(utterances) * int(lengths.max()) * CHANNELS
    if size > ROOM:
        raise DataError(
            "%s: has an utterance of %d frames; padded to that, all %d would be %d MiB, expected at most %d"
            % (path, lengths.max(), len(utterances), size >> 20, ROOM >> 20)
        )
    inputs = np.zeros((len(utterances), int(lengths.max()), CHANNELS), dtype=np.float32)
    for row, (frames, _) in enumerate(utterances):
        inputs[row, : len(frames)] = frames
    return Utterances(inputs, lengths, np.array([speaker for _, speaker in utterances], dtype=np.int64))


def _data_lines(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    """The lines after @data, each with its number in the file, counted from 1."""
    for number, line in enumerate(lines, start=1):
        if line.strip().lower() == "@data":
            return enumerate((following.rstrip("\n") for following in lines), start=number + 1)
    raise DataError("%s: has no line @data; expected a .ts file with its header; get the file again" % path)


def _utterance(path: Path, number: int, line: str) -> tuple[np.ndarray, int]:
    """One line as (frames float32 [length, 12], speaker from 0)."""

    def malformed(found: str, expected: str) -> DataError:
        return DataError("%s: line %d has %s, expected %s; correct or remove it" % (path, number, found, expected))

    parts = line.split(":")
    if len(parts) != CHANNELS + 1:
        raise malformed("%d parts separated by ':'" % len(parts), "%d channels and the speaker" % CHANNELS)
    speaker = parts.pop().strip()
    if speaker not in [str(known) for known in range(1, SPEAKERS + 1)]:
        raise malformed("the speaker %r" % speaker, "a number from 1 to %d" % SPEAKERS)
    try:
        channels = [[float(value) for value in part.split(",")] for part in parts]
    except ValueError as error:
        raise malformed("a value that is no number (%s)" % error, "comma-separated numbers") from None
    lengths = [len(channel) for channel in channels]
    if len(set(lengths)) != 1:
        raise malformed("channels of %d to %d frames" % (min(lengths), max(lengths)), "one length for all channels")
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and is named next
        frames = np.array(channels, dtype=np.float32).T
    if not np.isfinite(frames).all():
        raise malformed("a value that is not finite in float32", "finite numbers")
    return frames, int(speaker) - 1
