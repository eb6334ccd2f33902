"""The English names of the digits as tokens: what the speller writes.

Token 0 is END (see `programs`); the other tokens are the 15 letters that the ten names use, in alphabetical order.
"""

from __future__ import annotations

import numpy as np

from unrolled.models import END
from unrolled.programs import SPELLER

__all__ = ["LETTERS", "NAMES", "names_of", "tokens_of", "words"]

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LETTERS = "".join(sorted(set("".join(NAMES))))
_TOKENS = {letter: token for token, letter in enumerate(LETTERS, start=END + 1)}


def tokens_of(words_: list[str], steps: int = SPELLER.model.max_steps) -> np.ndarray:
    """Words of LETTERS as tokens, int64 [words, steps], END after each. Raises ValueError for one that cannot be."""
    tokens = np.full((len(words_), steps), END, np.int64)
    for row, word in enumerate(words_):
        if len(word) >= steps or not set(word) <= set(LETTERS):
            raise ValueError("%r cannot be spelled: at most %d letters of %s can" % (word, steps - 1, LETTERS))
        tokens[row, : len(word)] = [_TOKENS[letter] for letter in word]
    return tokens


def names_of(labels: np.ndarray) -> np.ndarray:
    """The names of digits, labels integers [rows] from 0 to 9, as tokens int64 [rows, 6]: the speller's targets.

    Raises ValueError for another label.
    """
    labels = np.asarray(labels)
    wrong = labels[(labels < 0) | (labels >= len(NAMES))]
    if len(wrong):
        raise ValueError("labels must be digits from 0 to 9 to be spelled, got %d" % wrong[0])
    return tokens_of(list(NAMES))[labels]


def words(tokens: np.ndarray) -> list[str]:
    """Tokens [rows, steps] as words, up to each row's first END; a row without END ends in an ellipsis."""
    found = []
    for row in np.asarray(tokens).tolist():
        ended = END in row
        letters = row[: row.index(END)] if ended else row
        found.append("".join(LETTERS[token - END - 1] for token in letters) + ("" if ended else "\u2026"))
    return found
