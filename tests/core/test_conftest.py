"""The rules of a run: what is left out is said, and a skip that nobody permitted fails it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

TESTS = """
import pytest

@pytest.mark.real_data
def test_of_real_data(taskmaster):
    raise AssertionError("must not run")

@pytest.mark.soak
def test_that_takes_long():
    raise AssertionError("must not run")

def test_that_passes():
    pass

def test_of_a_service(absent):
    if {service}:
        absent("PostgreSQL", "pip install pgserver")

class TestByTurns:
    thirds = {{"blocking": (0,), "async": (1, 2)}}

    @pytest.mark.parametrize("colour", ["blocking", "async"])
    def test_in_one_colour(self, colour):
        pass

@pytest.mark.parametrize("fresh", ["memory", "service", "dynamodb", "aztables"])
def test_in_memory_and_on_one_server(fresh):
    pass

@pytest.mark.each_server
@pytest.mark.parametrize("fresh", ["memory", "service", "dynamodb", "aztables"])
def test_on_each_server(fresh):
    pass

@pytest.mark.skipif({skipped}, reason="no reason to speak of")
def test_that_is_skipped():
    pass
"""


@pytest.mark.parametrize(
    ("given", "options", "code", "said"),
    [
        ((False, False), [], 0, "10 passed"),
        ((True, False), ["-n", "1"], 0, "absent service: PostgreSQL; pip install pgserver"),
        ((True, False), ["--require-services"], 1, "PostgreSQL is required and not there: pip install"),
        ((False, True), ["-n", "1"], 1, "FAILS THE RUN"),
    ],
    ids=["all there", "service absent", "service required", "skipped"],
)
def test_nothing_is_left_out_in_silence(
    tmp_path: Path, given: tuple[bool, bool], options: list[str], code: int, said: str
) -> None:
    # Two folders down, so that there is no file of real conversations where it would be.
    folder = tmp_path / "project" / "tests"
    folder.mkdir(parents=True)
    shutil.copy(CONFTEST, folder)
    (folder / "test_some.py").write_text(TESTS.format(service=given[0], skipped=given[1]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist.plugin", *options, str(folder)],
        cwd=folder.parent,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "CHATSTORE_SOAK": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout
    assert "1 tests: there is no" in done.stdout
    assert "1 tests: only `make soak` takes that long" in done.stdout
    assert "1 tests: in another colour" in done.stdout
    assert "2 tests: on another server" in done.stdout
