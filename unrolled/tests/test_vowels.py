"""The Japanese Vowels reader: the bundled files, and malformed lines."""

import gzip

import numpy as np
import pytest

from unrolled.datasets import vowels
from unrolled.errors import DataError

HEADER = "#comment\n@problemName V\n@data\n"


def line(frames=2, speaker="3", channels=12):
    values = [",".join("%g" % (channel + frame / 10) for frame in range(frames)) for channel in range(channels)]
    return ":".join(values + [speaker])


def write(tmp_path, *lines, header=HEADER):
    path = tmp_path / "V.ts"
    path.write_text(header + "".join(text + "\n" for text in lines))
    return path


def test_the_bundled_utterances():
    train, test = vowels.load()
    for part, count, longest in ((train, 270, 26), (test, 370, 29)):
        assert part.inputs.shape == (count, longest, 12) and part.inputs.dtype == np.float32
        assert part.lengths.shape == part.speaker.shape == (count,)
        assert part.lengths.dtype == part.speaker.dtype == np.int64
        assert part.lengths.min() == 7 and part.lengths.max() == longest
        padding = np.arange(longest)[None, :] >= part.lengths[:, None]
        assert (part.inputs[padding] == 0).all()
        assert (part.inputs[~padding] != 0).any(axis=1).all()
    assert np.bincount(train.speaker).tolist() == [30] * 9
    assert np.bincount(test.speaker).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    # The file's own first line: the first channel's first three frames, and the second channel's.
    np.testing.assert_array_equal(train.inputs[0, :3, 0], np.array([1.860936, 1.891651, 1.939205], np.float32))
    np.testing.assert_array_equal(train.inputs[0, :2, 1], np.array([-0.207383, -0.193249], np.float32))
    assert train.lengths[0] == 20


def test_frames_are_steps_and_channels_are_inputs(tmp_path):
    inputs, lengths, speaker = vowels.read_ts(write(tmp_path, line(1, "9"), line(3, "1")))
    assert lengths.tolist() == [1, 3] and speaker.tolist() == [8, 0]
    np.testing.assert_allclose(inputs[1], np.arange(12)[None, :] + np.arange(3)[:, None] / 10, rtol=1e-6)
    assert not inputs[0, 1:].any()


def test_a_folder_of_ones_own(tmp_path):
    for name in vowels.FILES:
        (tmp_path / (name + ".gz")).write_bytes(gzip.compress((HEADER + line()).encode()))
    train, test = vowels.load(tmp_path)
    assert train.inputs.shape == test.inputs.shape == (1, 2, 12)
    (tmp_path / "JapaneseVowels_TEST.ts.gz").unlink()
    with pytest.raises(DataError, match=r"JapaneseVowels_TEST.ts: no such file"):
        vowels.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line(channels=11), "12 parts separated by ':', expected 12 channels and the speaker"),
        (line(channels=13), "14 parts separated"),
        ("", "1 parts separated"),
        (line(speaker="0"), "the speaker '0', expected a number from 1 to 9"),
        (line(speaker="10"), "the speaker '10'"),
        (line(speaker="x"), "the speaker 'x'"),
        (line().replace("5.1", "5,1x"), "a value that is no number .*'1x'"),
        (line().replace("5.1", ""), "a value that is no number"),
        (line().replace("5.1", "5.1,7"), "channels of 2 to 3 frames, expected one length"),
        (line().replace("5.1", "nan"), "not finite in float32"),
        (line().replace("5.1", "1e39"), "not finite in float32"),
    ],
)
def test_a_malformed_line_is_named_by_number(tmp_path, text, message):
    with pytest.raises(DataError, match=r"V.ts: line 5 has .*" + message):
        vowels.read_ts(write(tmp_path, line(), text))


def test_a_file_without_data(tmp_path):
    with pytest.raises(DataError, match=r"V.ts: has no line @data"):
        vowels.read_ts(write(tmp_path, line(), header="#\n"))
    with pytest.raises(DataError, match=r"V.ts: no utterance follows"):
        vowels.read_ts(write(tmp_path))
    path = tmp_path / "V.ts"
    path.write_bytes(b"\xff\xfe@data")
    with pytest.raises(DataError, match=r"V.ts: is not a text file"):
        vowels.read_ts(path)


def test_an_altered_bundled_file_is_found_out(tmp_path, monkeypatch):
    (tmp_path / "japanese_vowels").mkdir()
    for name in vowels.FILES:
        (tmp_path / "japanese_vowels" / name).write_text(HEADER + line())
    monkeypatch.setattr(vowels, "BUNDLED", tmp_path)
    with pytest.raises(DataError, match=r"JapaneseVowels_TRAIN.ts: altered: the SHA-256 .* expected 68a430"):
        vowels.load()
