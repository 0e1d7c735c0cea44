"""A module is read in one sitting, and no engine is most of the package."""

from __future__ import annotations

from pathlib import Path

import chatstore

PACKAGE = Path(chatstore.__file__).parent
LINES = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
ENGINES = [path for path in (PACKAGE / "engines").iterdir() if (path / "__init__.py").exists()]

MOST = 350


def test_no_module_is_long() -> None:
    long = {path.relative_to(PACKAGE).as_posix(): count for path, count in LINES.items()}
    assert {name: count for name, count in long.items() if count > MOST} == {}


def test_no_engine_is_more_than_a_sixth_of_the_package() -> None:
    assert len(ENGINES) == 3
    for engine in ENGINES:
        own = sum(count for path, count in LINES.items() if path.is_relative_to(engine))
        assert own * 6 <= sum(LINES.values()), engine.name
