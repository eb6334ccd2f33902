"""The wheel: what is in it, and how it gets on with other people's projects, whose folders may be named as ours are.

It is installed into a virtual environment of its own, from which the checkout cannot be imported.
"""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("build", reason="build is not installed (the extra `dev`)")
pytest.importorskip("hatchling", reason="hatchling is not installed (the extra `dev`)")
pytest.importorskip("pip", reason="pip is not installed, which installs the wheel")

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("spec_tests", "tf_reference", "torch_impl", "unrolled")
LEFT_OUT = {"tests", "pictures", "__pycache__"}
PYTEST = {"pytest": ("bin/pytest",), "python -m pytest": ("bin/python", "-m", "pytest")}
BACKEND = """
import numpy as np

class Mine:
    name = "mine"
    contract = 2
    capabilities = frozenset(["in_top_k", "float32"])
    expected_failures = {}

    def describe(self):
        return {"framework": "NumPy", "version": np.__version__}

    def in_top_k(self, logits, targets, k=1):
        return (logits > logits[np.arange(len(logits)), targets][:, None]).sum(axis=1) < k
"""
WHOLE_API = """
import numpy as np, torch, torch_impl
import data, spec_tests
assert data.OWN and spec_tests.OWN

for name in torch_impl.__all__:
    getattr(torch_impl, name)
model = torch_impl.Classifier(torch_impl.RNN(2, 5), 3)
optimizer = torch_impl.Adam(model.parameters(), lr=0.01)
loss = model.loss(model(torch.ones(4, 6, 2), lengths=[6, 0, 2, 1]), torch.tensor([0, 1, 2, 0]))
loss.backward()
optimizer.step()

run = torch_impl.load_run("run")
inputs = np.load("sequences.npz")["inputs"]
assert run.predict(inputs).shape == inputs.shape[:1]
print("a run of", type(run.model).__name__)
"""
COMMAND = """
from importlib.metadata import entry_points

for command in entry_points(group="console_scripts", name=%r):
    raise SystemExit(command.load()())
raise SystemExit("no such command")
"""
OURS_LOADED = """
import sys
import pytest

status = pytest.main(sys.argv[1:])
print("ours:", *sorted(name for name in sys.modules if name.split(".")[0] in %r))
sys.exit(status)
""" % (PACKAGES,)


class Installed:
    """A virtual environment with the wheel in it, and what this interpreter has but for the checkout."""

    def __init__(self, folder, wheel):
        self.folder = folder
        venv.EnvBuilder(symlinks=True).create(folder)
        (self.site,) = folder.glob("lib/python*/site-packages")
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
        subprocess.run([*install, "--target", str(self.site), str(wheel)], check=True, cwd=folder)
        # A folder that a .pth file names is searched, but no .pth file in it is read: neither is an editable install's.
        rest = [
            place for place in sys.path if Path(place).is_dir() and not Path(place, "unrolled", "__init__.py").exists()
        ]
        (self.site / "rest.pth").write_text("\n".join(place for place in rest if place))
        for name in ("pytest", "unrolled"):
            (folder / "bin" / name).write_text(COMMAND % name)

    def run(self, project, *command):
        """What a command prints in the folder of a project. A name in bin/ is the environment's."""
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PYTHON", "UNROLLED"))
        }
        # Nothing here is about speed, and a new place would have to compile everything.
        environment = dict(inherited, UNROLLED_PATH="bptt", COLUMNS="200")
        python, first, *rest = self.folder / "bin" / "python", *command
        arguments = rest if first == "bin/python" else [str(self.folder / first), *rest]
        done = subprocess.run(
            [str(python), *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout


def build(folder, *what):
    """Build from the checkout, without the network: the wheel's path."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), *what, str(ROOT)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    return build(tmp_path_factory.mktemp("wheel"), "--wheel")


@pytest.fixture(scope="session")
def installed(tmp_path_factory, wheel):
    environment = Installed(tmp_path_factory.mktemp("installed"), wheel)
    script = "import %s; print(*sorted({str(p.__file__) for p in (%s)}))" % ((", ".join(PACKAGES),) * 2)
    places = environment.run(tmp_path_factory.mktemp("empty"), "bin/python", "-c", script).split()
    assert places == [str(environment.site / package / "__init__.py") for package in PACKAGES]
    return environment


def write(project, **files):
    """Write files into a project: their text by name, "/" as __ and .py left out."""
    for name, text in files.items():
        path = project / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def make_packages(project, *names):
    for name in names:
        (project / name).mkdir(exist_ok=True)
        (project / name / "__init__.py").write_text("OWN = True\n")


def test_the_wheel_is_the_packages_without_their_tests_and_the_files_of_data(wheel):
    expected = set()
    for folder, inside in [*((package, "") for package in PACKAGES), ("data", "unrolled/")]:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and not LEFT_OUT & set(path.relative_to(ROOT).parts):
                expected.add(inside + path.relative_to(ROOT).as_posix())
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == expected
    for needed in (
        "spec_tests/suite/conftest.py",
        "spec_tests/NEW_BACKEND.md",
        "torch_impl/py.typed",
        "unrolled/py.typed",
    ):
        assert needed in found


def test_the_source_distribution_builds_the_same_wheel(wheel, tmp_path):
    record = "unrolled-%s.dist-info/RECORD" % wheel.name.split("-")[1]
    names_and_hashes = [zipfile.ZipFile(each).read(record) for each in (wheel, build(tmp_path))]
    assert names_and_hashes[0] == names_and_hashes[1]


def test_a_plain_folder_data_is_imported_as_before(installed, tmp_path):
    write(tmp_path, data__loader="def load():\n    return 'theirs'\n")
    write(tmp_path, main="from data.loader import load\nfrom unrolled.datasets import vowels\n")
    with (tmp_path / "main.py").open("a") as stream:
        stream.write("print(load(), vowels.load().train.inputs.shape)\n")
    assert installed.run(tmp_path, "bin/python", "main.py") == "theirs (270, 26, 12)\n"


def test_a_project_with_packages_data_and_spec_tests_has_the_whole_api(installed, tmp_path):
    make_packages(tmp_path, "data", "spec_tests")
    write(tmp_path, main=WHOLE_API)
    inputs, labels = np.random.RandomState(0).rand(30, 6, 2).astype("f"), np.arange(30) % 3
    np.savez(str(tmp_path / "sequences.npz"), inputs=inputs, labels=labels)
    train = ["train", "classifier", "--data", "sequences.npz", "--epochs", "1", "--output", "run"]
    installed.run(tmp_path, "bin/python", "-m", "torch_impl", *train)
    assert installed.run(tmp_path, "bin/python", "main.py") == "a run of Classifier\n"


@pytest.mark.parametrize(
    ("command", "backend"), [("pytest", "mine:Mine"), ("python -m pytest", "mine:Mine@{0}/bin/python")]
)
def test_a_project_with_packages_data_and_spec_tests_runs_the_suite(installed, tmp_path, command, backend):
    make_packages(tmp_path, "data", "spec_tests")
    write(tmp_path, mine=BACKEND, conftest="import data\n")
    asked = ("--unrolled-suite", "-k", "test_a_tie_is_a_hit", "--unrolled-backend", backend.format(installed.folder))
    said = installed.run(tmp_path, *PYTEST[command], *asked)
    assert "spec: backend mine" in said and "test_in_top_k.py" in said and " passed" in said


@pytest.mark.parametrize("kind", ["package", "folder"])
@pytest.mark.parametrize(
    ("command", "arguments", "count"),
    [("pytest", ["spec_tests"], 1), ("pytest", [], 2), ("python -m pytest", [], 2)],
)
def test_a_project_with_its_own_spec_tests_runs_its_own_tests(installed, tmp_path, kind, command, arguments, count):
    if kind == "package":
        make_packages(tmp_path, "spec_tests")
    write(tmp_path, spec_tests__helper="answer = 42\n", spec_tests__test_spec="def test_it():\n    pass\n")
    write(tmp_path, checks__test_it="from spec_tests.helper import answer\n\ndef test_it():\n    assert answer == 42\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\nfilterwarnings = error\n")
    said = installed.run(tmp_path, *PYTEST[command], *arguments)
    assert "%d passed" % count in said and "spec:" not in said


@pytest.mark.parametrize("arguments", [["--version"], ["--version", "--version"], []])
def test_a_run_that_does_not_ask_imports_the_plugin_alone(installed, tmp_path, arguments):
    write(tmp_path, test_it="def test_it():\n    pass\n", main=OURS_LOADED)
    said = installed.run(tmp_path, "bin/python", "main.py", *arguments)
    # pytest 9 answers --version before it loads a plugin.
    assert said.splitlines()[-1] in ("ours: unrolled unrolled.pytest_plugin", *["ours:"] * bool(arguments))


def test_the_command_unrolled_is_installed(installed, tmp_path):
    assert installed.run(tmp_path, "bin/unrolled", "--version").startswith("unrolled 0.")
    assert "Exactly zero" in installed.run(tmp_path, "bin/unrolled", "show", "lengths")
