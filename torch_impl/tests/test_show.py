"""`show` of networks beyond the chapter: states by name, what is zero, and where a state came from."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from torch_impl.__main__ import make_group

PROGRAMS = {
    "lstm": ["state c [3, 4]", "state h [3, 4]", "<- is outputs[1, 0]", "bias                         [16]"],
    "gru": ["state h [3, 4]", "<- is outputs[2, 1]", "gates/kernel"],
    "layers": ["state cell_0/", "state cell_1/", "<- is outputs[1, 0]"],
    "bidirectional": ["state fw/", "state bw/", "<- is outputs[1, 0, 0:"],
    "dropout": ["mask outputs[:, 0]", "mask state/h[:, 0]", "state c"],
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_show_prints_the_state_by_name(program: str) -> None:
    done = CliRunner().invoke(make_group(), ["show", program])
    assert done.exit_code == 0, (done.output, done.exception)
    for words in [*PROGRAMS[program], "<- padding", "<- zero"]:
        assert words in done.output, words
