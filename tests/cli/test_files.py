"""Files that commands write are there whole, or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

_ENDED = """
import os, signal, sys
from pathlib import Path
from chatstore.cli.files import replacing
# Whoever runs the tests may ignore it, as nohup does.
signal.signal(int(sys.argv[2]), signal.SIG_DFL)
with replacing(Path(sys.argv[1])) as file:
    file.write(b"a part")
    file.flush()
    os.kill(os.getpid(), int(sys.argv[2]))
"""


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_leaves_nothing_of_its_file(tmp_path: Path, told: int) -> None:
    """By somebody, or because its terminal was closed."""
    path = tmp_path / "export.jsonl"
    path.write_text("what was there\n")
    ended = subprocess.run([sys.executable, "-c", _ENDED, str(path), str(int(told))], check=False, timeout=60)
    assert ended.returncode == 128 + told
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "what was there\n"
