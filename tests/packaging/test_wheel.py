"""What is installed from the built wheel, in an environment of its own: types, and the command."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
USER = """
import asyncio
from collections.abc import Sequence

import chatstore
from chatstore import AsyncChatStore, ChatStore, Conflict, Message, Page, Thread


def texts(messages: Sequence[Message]) -> list[str]:
    return [message.role for message in messages]


def last(store: ChatStore, thread_id: str) -> list[str]:
    page: Page[Message] = store.read(thread_id, last=20)
    try:
        store.append(thread_id, {"role": "user", "content": "hello"}, if_match=page.etag, request_id="r")
        store.append("new", {"role": "user"}, if_none_match="*")
    except Conflict as conflict:
        etag: str | None = conflict.current
        print(etag)
    except chatstore.ChatStoreError:
        raise
    thread: Thread = store.update_thread(thread_id, topic=None, metadata=chatstore.UNSET)
    print(thread.topic, chatstore.uuid7(), chatstore.__version__)
    return texts(page.items)


async def main() -> None:
    store: AsyncChatStore
    async with chatstore.aconnect("memory://", token=None) as store:
        async for message in store.iter_messages("t"):
            content: object = message.content
            print(content)


with chatstore.connect("sqlite:///chat.db", tenant="acme") as opened:
    last(opened, "t")
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel's files are, as an installer puts them."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    [wheel] = folder.glob("*.whl")
    assert wheel.name.startswith("serverless_chatstore-")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def checked(installed: Path, folder: Path, program: str) -> str:
    """What mypy says of a user's file, in strict mode and without any setting of this project's."""
    (folder / "user.py").write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--follow-imports", "silent"]
    cache = ["--cache-dir", str(ROOT / ".mypy_cache" / "user")]
    done = subprocess.run(
        [*command, *cache, "user.py"],
        cwd=folder, env={"MYPYPATH": str(installed)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_user_s_file_is_typed_in_strict_mode(installed: Path, tmp_path: Path) -> None:
    assert "Success" in checked(installed, tmp_path, USER)


def test_a_mistake_in_it_is_found(installed: Path, tmp_path: Path) -> None:
    wrong = USER.replace("texts(page.items)", "texts(page.next)").replace("uuid7()", "nonsense()")
    said = checked(installed, tmp_path, wrong)
    assert 'to "texts" has incompatible type' in said
    assert "nonsense" in said


def test_it_runs_alone(installed: Path, tmp_path: Path) -> None:
    """The library needs nothing beside itself, twice in a row."""
    program = f"import sys; sys.path.insert(0, {str(installed)!r})\n{USER}"
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
