"""The MNIST reader: the bundled files, a user's own folder, and every way in which a file can be wrong."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from unrolled.datasets import mnist
from unrolled.errors import DataError

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = mnist.FILES


def idx(array, magic=None, shape=None):
    head = struct.pack(">I", 0x0800 + array.ndim) if magic is None else magic
    return head + struct.pack(">%dI" % array.ndim, *(shape or array.shape)) + array.astype(np.uint8).tobytes()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def arrays(train=12, test=5, size=(4, 3)):
    random = np.random.RandomState(0)
    return {
        TRAIN_IMAGES: random.randint(0, 256, (train,) + size),
        TRAIN_LABELS: random.randint(0, 10, train),
        TEST_IMAGES: random.randint(0, 256, (test,) + size),
        TEST_LABELS: random.randint(0, 10, test),
    }


def write_all(folder, ending="", **changes):
    given = dict(arrays(), **changes)
    for name, array in given.items():
        write(folder / (name + ending), idx(array))
    return given


@pytest.fixture(scope="module")
def bundled():
    return mnist.load()


def test_the_bundled_mnist_has_the_chapters_split(bundled):
    for part, count in zip(bundled, (55000, 5000, 10000)):
        assert part.images.shape == (count, 28, 28) and part.images.dtype == np.float32
        assert part.labels.shape == (count,) and part.labels.dtype == np.int64
        assert sorted(set(part.labels)) == list(range(10))
    # The file's own first labels: the validation set comes first, the training set after it.
    assert bundled.validation.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert bundled.train.labels[:5].tolist() == [7, 3, 4, 6, 1]
    assert bundled.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_pixels_are_multiplied_in_float32(bundled):
    raw = mnist.read_idx(mnist.BUNDLED / "mnist" / (TEST_IMAGES + ".gz"), rank=3)
    expected = raw.astype(np.float32) * np.float32(1 / 255)
    np.testing.assert_array_equal(bundled.test.images, expected)
    assert bundled.test.images.min() == 0 and bundled.test.images.max() == 1
    # Dividing by 255 gives other float32 numbers: the test can see the difference.
    assert (expected != raw / np.float32(255)).any()


@pytest.mark.parametrize("place", ["", "raw", "Own/raw"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_folder_of_ones_own(tmp_path, place, ending):
    given = write_all(tmp_path / place, ending)
    loaded = mnist.load(tmp_path, validation_size=5)
    scale = np.float32(1 / 255)
    np.testing.assert_array_equal(loaded.validation.images, given[TRAIN_IMAGES][:5].astype(np.float32) * scale)
    np.testing.assert_array_equal(loaded.train.images, given[TRAIN_IMAGES][5:].astype(np.float32) * scale)
    np.testing.assert_array_equal(loaded.train.labels, given[TRAIN_LABELS][5:])
    np.testing.assert_array_equal(loaded.test.labels, given[TEST_LABELS])
    assert loaded.test.images.shape == (5, 4, 3)


def test_a_folder_given_as_text_and_no_validation_set(tmp_path):
    write_all(tmp_path)
    loaded = mnist.load(str(tmp_path), validation_size=0)
    assert len(loaded.train.labels) == 12 and len(loaded.validation.labels) == 0


@pytest.mark.parametrize("size", [-1, 12, 5000])
def test_a_validation_size_that_leaves_nothing_is_an_error(tmp_path, size):
    write_all(tmp_path)
    with pytest.raises(ValueError, match="validation_size is %d, expected 0 to 11" % size):
        mnist.load(tmp_path, validation_size=size)


def test_a_missing_folder_file_or_data_set(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        mnist.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no MNIST-like data set; expected the files train-images"):
        mnist.load(tmp_path)
    write_all(tmp_path)
    (tmp_path / TEST_LABELS).unlink()
    with pytest.raises(DataError, match="%s: no such file, with or without .gz; put it there" % TEST_LABELS):
        mnist.load(tmp_path)


def test_two_data_sets_in_one_folder_are_not_guessed_between(tmp_path):
    write_all(tmp_path / "A" / "raw")
    write_all(tmp_path / "B" / "raw")
    with pytest.raises(DataError, match=r"holds several data sets .*A.*B.*name one"):
        mnist.load(tmp_path)


def test_counts_and_sizes_must_agree(tmp_path):
    write_all(tmp_path, **{TRAIN_LABELS: np.zeros(11)})
    with pytest.raises(DataError, match="%s: has 11 labels, but %s has 12 images" % (TRAIN_LABELS, TRAIN_IMAGES)):
        mnist.load(tmp_path, 0)
    write_all(tmp_path, **{TEST_LABELS: np.zeros(6)})
    with pytest.raises(DataError, match="%s: has 6 labels, but %s has 5 images" % (TEST_LABELS, TEST_IMAGES)):
        mnist.load(tmp_path, 0)
    write_all(tmp_path, **{TEST_IMAGES: np.zeros((5, 3, 4))})
    with pytest.raises(DataError, match="%s: its images are 3x4, those of %s are 4x3" % (TEST_IMAGES, TRAIN_IMAGES)):
        mnist.load(tmp_path, 0)


GOOD = idx(np.arange(24).reshape(2, 4, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with bytes none, expected 00000803"),
        (GOOD[:3], "starts with bytes 000008, expected 00000803"),
        (GOOD[:9], "ends within its header"),
        (GOOD[:-1], "ask for 24 bytes of values, found only 23"),
        (GOOD[:16], "ask for 24 bytes of values, found only 0"),
        (GOOD + b"\0", "ask for 24 bytes of values, found more"),
        (b"\x00\x00\x0d\x03" + GOOD[4:], "not an IDX file of uint8 with 3 dimensions: it starts with bytes 00000d03"),
        (b"\x00\x00\x08\x01" + GOOD[4:], "it starts with bytes 00000801, expected 00000803"),
        (gzip.compress(GOOD), "it starts with bytes 1f8b"),
        (idx(np.zeros((0, 4, 3))), "is empty"),
        # An altered header must not be believed: this one asks for 2**96 bytes.
        (b"\x00\x00\x08\x03" + b"\xff" * 12 + GOOD[16:], r"more than 2\*\*31 values"),
        (b"\x00\x00\x08\x03" + b"\x00\x00\x04\x00" * 3 + GOOD[16:], "found only 24"),
    ],
)
def test_a_wrong_idx_file_is_named(tmp_path, content, message):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"images: .*" + message):
        mnist.read_idx(path, rank=3)


def test_a_wrong_gzip_file_is_named(tmp_path):
    path = tmp_path / "images.gz"
    packed = gzip.compress(bytes(GOOD))
    flipped = packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]  # its own checksum
    for content, message in (
        (packed[:-9], "truncated"),
        (flipped, "cannot be read .*CRC"),
        (b"plain", "cannot be read"),
        (packed[:12] + b"\xff\xff\xff" + packed[15:], "cannot be read|truncated"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match="images.gz: .*(%s)" % message):
            mnist.read_idx(path, rank=3)
    path.unlink()
    with pytest.raises(DataError, match=r"images.gz: cannot be read .No such file"):
        mnist.read_idx(path, rank=3)


def test_an_altered_bundled_file_is_found_out(tmp_path, monkeypatch):
    """One pixel more or less bright, everything else as it was."""
    given = write_all(tmp_path / "mnist", ".gz")
    monkeypatch.setattr(mnist, "BUNDLED", tmp_path)
    with pytest.raises(DataError, match="%s.gz: altered: the SHA-256 .* expected ba891046" % TRAIN_IMAGES):
        mnist.load()
    good = idx(given[TEST_IMAGES])
    path = tmp_path / "images"
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(DataError, match="altered"):
        mnist.read_idx(path, rank=3, sha256=hashlib.sha256(good).hexdigest())
    path.write_bytes(good)
    np.testing.assert_array_equal(mnist.read_idx(path, 3, hashlib.sha256(good).hexdigest()), given[TEST_IMAGES])
