"""Files that commands write are there whole, or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

_ENDED = """
import os, signal, sys
from pathlib import Path
from chatstore.cli.files import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"a part")
    file.flush()
    os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_command_that_is_told_to_end_leaves_nothing_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    path.write_text("what was there\n")
    ended = subprocess.run([sys.executable, "-c", _ENDED, str(path)], check=False, timeout=60)
    assert ended.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "what was there\n"
