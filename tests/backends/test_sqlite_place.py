"""A file that is moved, deleted or replaced under a store: nothing acknowledged goes with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import chatstore
from chatstore import ChatStore
from chatstore.errors import Unavailable

HELLO = {"role": "user", "content": "hello"}


def filled(folder: Path, thread: str) -> ChatStore:
    folder.mkdir()
    store = chatstore.connect(f"sqlite:///{folder}/chat.db")
    store.append(thread, HELLO)
    return store


def delete(folder: Path) -> None:
    (folder / "chat.db").unlink()


def move(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


@pytest.mark.parametrize("lose", [delete, move])
def test_a_file_that_is_gone_is_unavailable_and_not_made_anew(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    folder = tmp_path / "kept"
    with filled(folder, "t") as store:
        store.read("t")
        lose(folder)
        for call in (lambda: store.append("t", HELLO), lambda: store.read("t"), store.ping, store.ping):
            with pytest.raises(Unavailable):
                call()
        assert not (folder / "chat.db").exists()


def test_a_file_that_is_back_is_opened_again(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with filled(folder, "t") as store:
        store.read("t")
        move(folder)
        with pytest.raises(Unavailable):
            store.append("t", HELLO)
        (tmp_path / "elsewhere").rename(folder)
        store.ping()
        store.append("t", HELLO)
        assert len(store.read("t")) == 2
    with chatstore.connect(f"sqlite:///{folder}/chat.db") as store:
        assert len(store.read("t")) == 2


def test_a_replaced_folder_is_read_and_written_where_it_is_now(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    filled(tmp_path / "other", "theirs").close()
    with filled(folder, "ours") as store:
        store.read("ours")
        move(folder)
        (tmp_path / "other").rename(folder)
        store.append("theirs", HELLO)
        assert len(store.read("theirs")) == 2
        assert len(store.read("ours")) == 0
    with chatstore.connect(f"sqlite:///{folder}/chat.db") as store:
        assert len(store.read("theirs")) == 2
    with chatstore.connect(f"sqlite:///{tmp_path}/elsewhere/chat.db") as store:
        assert [len(store.read("ours")), len(store.read("theirs"))] == [1, 0]


def test_a_file_put_beside_anothers_log_is_refused_until_the_log_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    filled(tmp_path / "other", "theirs").close()
    with filled(folder, "ours") as store:
        store.read("ours")
        shutil.copy(tmp_path / "other" / "chat.db", tmp_path / "restored.db")
        (tmp_path / "restored.db").rename(folder / "chat.db")
        for call in (lambda: store.append("theirs", HELLO), lambda: store.read("theirs"), store.ping):
            with pytest.raises(Unavailable, match=r"chat\.db-wal"):
                call()
        for name in ("chat.db-wal", "chat.db-shm"):
            (folder / name).unlink()
        store.append("theirs", HELLO)
        assert len(store.read("theirs")) == 2


def test_a_log_that_was_deleted_takes_no_more_acknowledged_writes(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with filled(folder, "t") as store:
        (folder / "chat.db-wal").unlink()
        for call in (lambda: store.append("t", HELLO), store.ping):
            with pytest.raises(Unavailable):
                call()
    with chatstore.connect(f"sqlite:///{folder}/chat.db") as store:
        assert len(store.read("t")) >= 1
