"""What several files of tests share: one finished study."""

import pytest

from spec_tests.study import cost, results
from spec_tests.tests import small_study


@pytest.fixture(scope="session")
def study_plan():
    return results.plan(small_study.STUDY)


@pytest.fixture(scope="session")
def whole_study(study_plan, tmp_path_factory):
    """A small study that nothing interrupted: its folder and its results. Its costs are made up."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "measure", lambda hosts, *rest: small_study.costs(hosts))
        return folder, small_study.run(study_plan, folder, small_study.InProcess())
