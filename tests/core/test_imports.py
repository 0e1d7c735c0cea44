"""`import chatstore` costs next to nothing and needs nothing but Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import chatstore

ROOT = Path(chatstore.__file__).parents[1]


def bare(code: str) -> str:
    """What `code` prints in a Python that has no site-packages and ignores the environment."""
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", start + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(code: str) -> set[str]:
    """Which modules `code` loads that a bare Python has not loaded already."""
    before = "before = set(sys.modules)\n"
    return set(bare(before + code + "\nprint(*sorted(set(sys.modules) - before))").split())


def test_the_import_alone_loads_nothing() -> None:
    modules = {name.partition(".")[0] for name in loaded("import chatstore")}
    # What `importlib` and `typing` bring along; no asyncio, sqlite3, ssl or json.
    assert modules - set(sys.stdlib_module_names) == {"chatstore"}
    assert not modules & {"asyncio", "sqlite3", "ssl", "json", "http", "logging", "dataclasses", "inspect"}
    assert {name for name in loaded("import chatstore") if name.startswith("chatstore.")} == set()


def test_a_store_in_memory_and_one_in_sqlite_need_the_standard_library_alone(tmp_path: Path) -> None:
    for url in ("memory://", f"sqlite:///{tmp_path}/chat.db"):
        code = f"""
import asyncio, chatstore
with chatstore.connect({url!r}) as store:
    store.append("t", {{"role": "user", "content": "hello"}})
    assert [message.content for message in store.read("t")] == ["hello"]
async def main():
    async with chatstore.aconnect({url!r}) as store:
        await store.append("u", {{"role": "user", "content": "hello"}})
        assert len(await store.read("u")) == 1
asyncio.run(main())
"""
        outside = {name.partition(".")[0] for name in loaded(code)} - set(sys.stdlib_module_names)
        assert outside == {"chatstore"}


def test_a_store_in_memory_loads_no_other_backend() -> None:
    modules = loaded('import chatstore; chatstore.connect("memory://").append("t", {"role": "user"})')
    assert "chatstore.backends.memory" in modules
    assert not modules & {"sqlite3", "chatstore.backends.sqlite", "chatstore.http", "chatstore.testing"}


def test_every_public_name_is_there() -> None:
    for name in chatstore.__all__:
        assert getattr(chatstore, name) is not None
    assert set(chatstore.__all__) <= set(dir(chatstore))
    assert "no attribute 'nonsense'" in bare(
        "import chatstore\ntry:\n    chatstore.nonsense\nexcept AttributeError as error:\n    print(error)"
    )


def test_what_is_missing_is_named_with_its_extra() -> None:
    said = bare(
        "import chatstore\ntry:\n    chatstore.connect('http://127.0.0.1:1')\n"
        "except chatstore.ConfigurationError as error:\n    print(error)"
    )
    assert "pip install '.[cli]'" in said
