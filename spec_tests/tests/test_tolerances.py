"""The comparison: what it lets pass, what it does not, and what it says."""

import ast

import numpy as np
import pytest

from spec_tests import tolerances
from spec_tests.tolerances import compare, exact, measure
from unrolled.pytest_plugin import SUITE

EXPECTED = np.array([[1.0, -4.0], [2.0, 0.5]])


def test_error_is_relative_to_the_largest_expected_magnitude():
    found = EXPECTED.copy()
    found[1, 1] += 4e-13
    difference = measure("outputs", found, EXPECTED, "float64")
    assert difference.relative == pytest.approx(1e-13, rel=1e-3)
    assert difference.absolute == pytest.approx(4e-13, rel=1e-3)
    assert difference.where == (1, 1)


@pytest.mark.parametrize(("factor", "passes"), [(0.9, True), (1.1, False)])
@pytest.mark.parametrize(("dtype", "limit"), [("float32", 2e-6), ("float64", 1e-12)])
def test_limit_is_the_one_of_the_table(dtype, limit, factor, passes):
    found = EXPECTED.astype(dtype)
    found[0, 0] += 4 * limit * factor
    if passes:
        compare("outputs", found, EXPECTED, dtype)
    else:
        with pytest.raises(AssertionError):
            compare("outputs", found, EXPECTED, dtype)


def test_message_names_quantity_tensor_errors_place_and_limit():
    found = EXPECTED.copy()
    found[0, 1] = -3.0
    with pytest.raises(AssertionError) as raised:
        compare("gradients", {"kernel": found}, {"kernel": EXPECTED}, "float64")
    for part in ("gradients of kernel", "error is 1,", "0.25", "1e-12", "float64", "[0, 1]", "-3.0", "-4.0"):
        assert part in str(raised.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nothing_that_is_not_finite_passes(value):
    found = EXPECTED.copy()
    found[0, 0] = value
    for one, other in ((found, EXPECTED), (EXPECTED, found), (found, found)):
        with pytest.raises(AssertionError):
            compare("outputs", one, other, "float64")


def test_only_exact_zeros_pass_for_zeros():
    compare("outputs", np.zeros(3), np.zeros(3), "float64")
    with pytest.raises(AssertionError):
        compare("outputs", np.array([0.0, 1e-300, 0.0]), np.zeros(3), "float64")


@pytest.mark.parametrize("found", [np.ones((2, 1)), np.ones(2), np.ones((1, 2, 2)), 1.0])
def test_shape_is_compared_first_and_never_broadcast(found):
    with pytest.raises(AssertionError, match="shape"):
        compare("outputs", found, np.ones((2, 2)), "float64")


@pytest.mark.parametrize("found", [EXPECTED.astype("float32"), EXPECTED.astype(int), EXPECTED.tolist()])
def test_dtype_is_compared(found):
    with pytest.raises(AssertionError, match="expected float64"):
        compare("outputs", found, EXPECTED, "float64")


def test_a_plain_number_has_no_dtype():
    compare("loss", 1.5, 1.5, "float32")
    with pytest.raises(AssertionError, match="float64"):
        compare("loss", np.float64(1.5), 1.5, "float32")


@pytest.mark.parametrize("found", [{"bias": EXPECTED}, {"kernel": EXPECTED, "other": EXPECTED}, {}, EXPECTED])
def test_names_must_be_the_same(found):
    with pytest.raises(AssertionError, match=r"names"):
        compare("gradients", found, {"kernel": EXPECTED}, "float64")


def test_lists_must_be_of_the_same_length():
    compare("outputs", [EXPECTED, EXPECTED], [EXPECTED, EXPECTED], "float64")
    with pytest.raises(AssertionError, match="a list of 2"):
        compare("outputs", [EXPECTED], [EXPECTED, EXPECTED], "float64")


def test_every_difference_is_recorded_also_the_one_that_fails():
    seen: list[tolerances.Difference] = []
    with pytest.raises(AssertionError):
        compare(
            "gradients",
            {"a": EXPECTED, "b": EXPECTED + 1},
            {"a": EXPECTED, "b": EXPECTED},
            "float64",
            None,
            seen.append,
        )
    assert [(difference.tensor, difference.within) for difference in seen] == [
        ("gradients of a", True),
        ("gradients of b", False),
    ]


def test_a_quantity_without_a_limit_is_an_error():
    with pytest.raises(KeyError):
        measure("no such quantity", EXPECTED, EXPECTED, "float64")
    with pytest.raises(KeyError, match="float64"):
        measure("mnist losses, 1 epoch", EXPECTED, EXPECTED, "float64")


def test_every_limit_has_a_reason_and_is_tighter_in_float64():
    for quantity, limit in tolerances.LIMITS.items():
        assert len(limit.reason) > 10, quantity
        assert limit.float32 is not None, quantity
        assert 0 < limit.float32 < 0.1, quantity
        assert limit.float64 is None or 0 < limit.float64 <= 1e-6 * limit.float32, quantity


def test_exact_allows_no_difference():
    exact(np.array([0.0, 1.0]), np.array([-0.0, 1.0]), "values")
    with pytest.raises(
        AssertionError, match=r"values must be exactly .* 1 of 2 .* index \[1\]: found 1.5, expected 1.0"
    ):
        exact(np.array([0.0, 1.5]), np.array([0.0, 1.0]), "values")
    with pytest.raises(AssertionError, match="shape"):
        exact(np.zeros(2), np.zeros((1, 2)), "values")
    with pytest.raises(AssertionError):
        exact(np.array([np.nan]), np.array([np.nan]), "values")


def test_exact_takes_dictionaries_by_name():
    exact({"h": np.ones(2)}, {"h": np.ones(2)}, "the state")
    with pytest.raises(AssertionError, match=r"the state of h must be exactly"):
        exact({"h": np.zeros(2)}, {"h": np.ones(2)}, "the state")
    with pytest.raises(AssertionError, match="found the names"):
        exact({"h": np.ones(2), "c": np.ones(2)}, {"h": np.ones(2)}, "the state")
    with pytest.raises(AssertionError, match="found the names"):
        exact(np.ones(2), {"h": np.ones(2)}, "the state")


def test_a_number_far_from_what_was_worked_out_is_a_sentence():
    tolerances.near(np.float32(0.1360), 0.1352, 0.01, "the largest value")
    with pytest.raises(AssertionError, match=r"^the largest value is 0\.3759, expected 0\.1352 within 1%$"):
        tolerances.near(np.float32(0.3759), 0.1352, 0.01, "the largest value")


@pytest.mark.parametrize("path", sorted(SUITE.glob("*.py")), ids=lambda path: path.stem)
def test_every_assertion_of_the_suite_is_a_sentence(path):
    """What fails is read by somebody who has not written the suite."""
    tree = ast.parse(path.read_text("utf-8"))
    bare = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert) and node.msg is None]
    assert not bare, "assertions without a sentence in lines %s" % bare
