"""A password in a URL is said by no error, whatever else is wrong with the URL."""

from __future__ import annotations

import traceback

import pytest

import chatstore
from chatstore.sources.opening import is_source, open_source
from tests.cli.running import Cli

PASSWORD = "hunter2"  # pragma: allowlist secret
URLS = (
    f"redis://ada:{PASSWORD}@127.0.0.1/0#x",
    f"redis://:x/{PASSWORD}#?@127.0.0.1",
    f"redis+cluster://ada:{PASSWORD}@127.0.0.1:1",
    f"redis+cluster://ada:{PASSWORD}@127.0.0.1:port",
    f"redis+sentinel://ada:{PASSWORD}@127.0.0.1:port/main",
    f"upstash://:{PASSWORD}@acme:port",
    f"tablestore://ada:{PASSWORD}@acme/chat",
    f"postgresql:ada:{PASSWORD}@db",
    f"http://ada:{PASSWORD}@[",
    f"http://ada:{PASSWORD}@127.0.0.1:port",
    f"https://ada:{PASSWORD}@127.0.0.1:1",
    f"https://127.0.0.1:1?password={PASSWORD}#",
    f"http://\u2100{PASSWORD}@127.0.0.1",
    f"sqlite://ada:{PASSWORD}@127.0.0.1/chat.db",
    f"aztables://ada:{PASSWORD}@acme/chat",
    f"aztables:///chat?endpoint=https://ada:{PASSWORD}@127.0.0.1",
    f"dynamodb://t?region=eu-west-1&endpoint=http://ada:{PASSWORD}@[",
    f"postgresql://ada:{PASSWORD}@127.0.0.1:1/x?timeout=0.1",
    f"postgresql://127.0.0.1:1/x?timeout=0.1&password={PASSWORD}",
    f"postgresql://127.0.0.1/x?pasword={PASSWORD}",
    f"llama-index+redis://:{PASSWORD}@127.0.0.1:port/0",
    f"llama-index+redis://:{PASSWORD}@127.0.0.1:1/0",
    f"llama-index+redis://127.0.0.1:1/0?password={PASSWORD}",
    f"llama-index+postgresql://ada:{PASSWORD}@127.0.0.1:1/x",
    f"llama-index+postgresql://ada:{PASSWORD}@127.0.0.1:port/x",
    f"llama-index+postgresql://127.0.0.1:1/x?password={PASSWORD}",
    f"llama-index+sqlite://ada:{PASSWORD}@host/old.db",
    f"llama-index+dynamodb://t?region=eu-west-1&endpoint=http://ada:{PASSWORD}@[",
)


@pytest.mark.parametrize("url", URLS)
def test_no_command_says_it(cli: Cli, url: str) -> None:
    for command in (["import", url, "--to", "memory://"], ["threads", "--from", url]):
        finished = cli(*command)
        assert finished.code != 0
        assert finished.err.startswith("chatstore: ")
        assert PASSWORD not in finished.err + finished.out


@pytest.mark.parametrize("url", URLS)
def test_no_error_of_the_library_says_it(url: str) -> None:
    def use() -> None:
        if is_source(url):
            with open_source(url) as source:
                list(source.conversations)
        else:
            with chatstore.connect(url) as store:
                store.get_thread("t")

    with pytest.raises(chatstore.ChatStoreError) as caught:
        use()
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in "".join(traceback.format_exception_only(caught.value))
