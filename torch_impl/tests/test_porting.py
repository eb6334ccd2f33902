"""FROM_TENSORFLOW.md: its code computes what it says, in every framework that is installed."""

from __future__ import annotations

import pytest

from torch_impl.tests import porting


@pytest.mark.parametrize("framework", porting.NEEDS)
def test_the_code_of_the_page_gives_the_same_network_in_every_framework(framework: str) -> None:
    if porting.missing(framework):
        pytest.skip(f"{framework} is not installed")
    found = porting.differences(framework)
    assert set(found) == {name for name, other in porting.blocks() if other == framework and name != "setup"}
    assert len(found) >= 2 and all(0 < difference < 1e-6 for difference in found.values()), found
