"""Files that people have: what other programs export or pass to each other, in small."""

from __future__ import annotations

import io
import json
import random
from typing import Any, ClassVar

import pytest

import chatstore
from chatstore.importing import BadThread, Conversation, Status, import_threads, read_threads
from chatstore.importing.texts import MAX_BYTES


def threads(form: object, *, lines: bool = False) -> list[Conversation]:
    """What is read of a file; each form is also imported twice, and adds nothing the second time."""
    text = "\n".join(map(json.dumps, form)) if lines and isinstance(form, list) else json.dumps(form)
    data = text.encode()
    found = list(read_threads(io.BytesIO(data), max_bytes=MAX_BYTES))
    with chatstore.connect("memory://") as store:
        for expected in (Status.ADDED, Status.UNCHANGED):
            assert {outcome.status for outcome in import_threads(store, io.BytesIO(data))} <= {expected}
        for one in found:
            assert isinstance(one, Conversation), one
            kept = [message.to_dict() for message in store.iter_messages(one.id)]
            assert kept == [message.to_dict() for message in one.messages]
    return [one for one in found if isinstance(one, Conversation)]


def said(thread: Conversation) -> list[tuple[str, Any]]:
    return [(message.role, message.content) for message in thread.messages]


def node(name: str, parent: str | None, role: str, *parts: object, **content: object) -> tuple[str, Any]:
    body = {"content_type": "text", "parts": list(parts), **content}
    if content:
        del body["parts"]
    message = {
        "id": name, "author": {"role": role, "name": None, "metadata": {}}, "create_time": 1700000000.5,
        "content": body, "status": "finished_successfully", "end_turn": True, "weight": 1.0,
        "metadata": {"model_slug": "gpt-4o"}, "recipient": "all",
    }  # fmt: skip
    return name, {"id": name, "message": message, "parent": parent, "children": []}


def chatgpt(nodes: list[tuple[str, Any]], current: str | None, name: str = "c1") -> dict[str, Any]:
    mapping = {"root": {"id": "root", "message": None, "parent": None, "children": []}, **dict(nodes)}
    return {
        "title": "Lisbon", "create_time": 1700000000.1, "update_time": 1700000001.1, "mapping": mapping,
        "moderation_results": [], "current_node": current, "conversation_id": name, "id": name,
    }  # fmt: skip


TREE = [
    node("a", "root", "user", "What is there to see?"),
    node("b1", "a", "assistant", "The first answer"),
    node("b2", "a", "assistant", "The answer again"),
    node("c", "b2", "user", "And the tram?"),
    node("d", "c", "assistant", "28"),
    node("c2", "b2", "user", "And the tram, edited?"),
]


class TestChatGpt:
    def test_the_branch_that_is_shown_is_the_thread_and_the_others_are_forks(self) -> None:
        main, first, edited = threads([chatgpt(TREE, "d")])
        assert (main.id, main.properties["topic"]) == ("c1", "Lisbon")
        assert said(main) == [
            ("user", "What is there to see?"), ("assistant", "The answer again"),
            ("user", "And the tram?"), ("assistant", "28"),
        ]  # fmt: skip
        assert main.properties["metadata"]["create_time"] == 1700000000.1
        assert main.messages[0].to_dict()["metadata"] == {"model_slug": "gpt-4o"}
        assert first.id == "c1#b1"
        assert said(first) == [("user", "What is there to see?"), ("assistant", "The first answer")]
        assert edited.id == "c1#c2"
        assert edited.properties["metadata"]["forked_from"] == "c1"
        assert not main.damage

    def test_every_message_is_in_a_thread_whatever_the_tree(self) -> None:
        for seed in range(50):
            chance = random.Random(seed)
            nodes = [node("0", "root", "user", "0")]
            nodes += [
                node(f"{number}", f"{chance.randrange(number)}", "user", f"{number}")
                for number in range(1, chance.randrange(2, 30))
            ]
            chance.shuffle(nodes)
            found = threads([chatgpt(nodes, nodes[0][0])])
            assert {text for thread in found for _, text in said(thread)} == {name for name, _ in nodes}
            parents = {name: form["parent"] for name, form in nodes}
            for thread in found:
                way = [text for _, text in said(thread)]
                assert [parents[text] for text in way] == ["root", *way[:-1]]

    @pytest.mark.parametrize("current", [None, "nowhere", "root", 7])
    def test_without_a_current_node_the_last_leaf_is_taken(self, current: Any) -> None:
        found = threads([chatgpt(TREE, current)])
        assert {text for thread in found for _, text in said(thread)} >= {"28", "The first answer"}

    def test_contents_of_every_kind(self) -> None:
        picture = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://x", "width": 1}
        [thread] = threads(
            [
                chatgpt(
                    [
                        node("a", "root", "user", picture, "What is this?", content_type="multimodal_text",
                             parts=[picture, "What is this?"]),
                        node("b", "a", "assistant", content_type="code", language="python", text="1 + 1"),
                        node("c", "b", "tool", content_type="execution_output", text="2"),
                        node("d", "c", "assistant", content_type="thoughts", thoughts=[{"summary": "s"}]),
                        node("e", "d", "assistant", "two", "parts"),
                    ],
                    "e",
                )
            ]
        )  # fmt: skip
        contents = [content for _, content in said(thread)]
        assert contents[1:] == [
            [{"type": "code", "language": "python", "text": "1 + 1"}],
            [{"type": "execution_output", "text": "2"}],
            [{"type": "thoughts", "thoughts": [{"summary": "s"}]}],
            [{"type": "text", "text": "two"}, {"type": "text", "text": "parts"}],
        ]

    def test_damage_is_named_and_stays_where_it_is(self) -> None:
        lost = [node("a", "gone", "user", "hello"), node("b", "a", "assistant", "hi")]
        circle = [node("x", "y", "user", "one"), node("y", "x", "user", "two")]
        odd = [node("a", "root", "user", "hello"), ("b", {"id": "b", "parent": "a", "message": {"id": "b"}})]
        forms = [
            chatgpt(lost, "b", "c1"),
            chatgpt(circle, "x", "c2"),
            chatgpt(odd, "b", "c3"),
            chatgpt(TREE, "d", "c4"),
        ]
        found = threads(forms)
        assert "what came before 'a'" in found[0].damage[0]
        assert any("circle" in text for thread in found for text in thread.damage)
        assert {text for thread in found for _, text in said(thread)} >= {"one", "two", "28"}
        assert any("needs a role" in text for thread in found for text in thread.damage)

    def test_one_conversation_alone_and_one_a_line(self) -> None:
        assert len(threads(chatgpt(TREE, "d"))) == 3
        assert len(threads([chatgpt(TREE, "d", "c1"), chatgpt(TREE, "d", "c2")], lines=True)) == 6


def of_claude(name: str, sender: str, text: str, parent: str | None = None, **rest: Any) -> dict[str, Any]:
    message = {
        "uuid": name, "text": text, "content": [{"type": "text", "text": text, "citations": []}],
        "sender": sender, "created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-01-01T00:00:00Z",
        "attachments": [], "files": [], **rest,
    }  # fmt: skip
    return message if parent is None else message | {"parent_message_uuid": parent}


ROOT = "00000000-0000-4000-8000-000000000000"


class TestClaude:
    @staticmethod
    def form(*messages: Any, **rest: Any) -> dict[str, Any]:
        return {
            "uuid": "c1", "name": "Lisbon", "created_at": "2025-01-01T00:00:00Z", "account": {"uuid": "u"},
            "chat_messages": list(messages), **rest,
        }  # fmt: skip

    def test_a_list_of_messages(self) -> None:
        attached = [{"file_name": "a.txt", "extracted_content": "the text"}]
        [thread] = threads(
            [
                self.form(
                    of_claude("a", "human", "hello", attachments=attached), of_claude("b", "assistant", "hi")
                )
            ]
        )
        assert (thread.id, thread.properties["topic"]) == ("c1", "Lisbon")
        assert [message.role for message in thread.messages] == ["user", "assistant"]
        assert thread.messages[0].content == [{"type": "text", "text": "hello", "citations": []}]
        assert thread.messages[0].to_dict()["attachments"] == attached
        assert "text" not in thread.messages[0].to_dict()
        assert thread.properties["metadata"]["account"] == {"uuid": "u"}

    def test_branches(self) -> None:
        main, other = threads(
            [
                self.form(
                    of_claude("a", "human", "hello", ROOT),
                    of_claude("b", "assistant", "first", "a"),
                    of_claude("c", "assistant", "again", "a"),
                )
            ]
        )
        assert [message.to_dict()["uuid"] for message in main.messages] == ["a", "c"]
        assert [message.to_dict()["uuid"] for message in other.messages] == ["a", "b"]

    @pytest.mark.parametrize("content", [[], None])
    def test_older_messages_have_their_text_alone(self, content: Any) -> None:
        [thread] = threads([self.form(of_claude("a", "human", "hello", content=content))])
        assert said(thread) == [("user", "hello")]

    def test_a_text_that_says_more_than_the_content_is_kept(self) -> None:
        message = of_claude("a", "human", "all of it")
        message["content"][0]["text"] = "a part"
        [thread] = threads([self.form(message)])
        assert thread.messages[0].to_dict()["text"] == "all of it"

    def test_an_empty_conversation_and_a_message_without_a_sender(self) -> None:
        empty, odd = threads([self.form(uuid="c0"), self.form(of_claude("a", "human", "x"), {"future": 1})])
        assert said(empty) == []
        assert len(odd.messages) == len(odd.damage) == 1


class TestShareGpt:
    @pytest.mark.parametrize("name", ["conversations", "conversation", "items"])
    @pytest.mark.parametrize("lines", [False, True])
    def test_turns_become_messages(self, name: str, lines: bool) -> None:
        turns = [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "weather?"},
            {"from": "function_call", "value": '{"name": "f"}'},
            {"from": "observation", "value": "sun"},
            {"from": "gpt", "value": "Sun.", "weight": 0},
        ]
        [thread, _] = threads(
            [{"id": "x_0", name: turns, "tools": "[]"}, {"id": 7, name: turns}], lines=lines
        )
        assert [message.role for message in thread.messages] == [
            "system",
            "user",
            "assistant",
            "tool",
            "assistant",
        ]
        assert thread.messages[2].to_dict()["from"] == "function_call"
        assert thread.messages[4].to_dict() == {"role": "assistant", "content": "Sun.", "weight": 0}
        assert thread.properties["metadata"] == {"tools": "[]"}

    def test_a_system_prompt_beside_them_comes_first_and_roles_are_known_too(self) -> None:
        turns = [{"role": "user", "content": "hello"}]
        [thread] = threads([{"conversations": turns, "system": "Be brief."}])
        assert said(thread) == [("system", "Be brief."), ("user", "hello")]

    def test_an_unknown_speaker_is_a_role(self) -> None:
        [thread] = threads([{"conversations": [{"from": "narrator", "value": "Once"}]}])
        assert said(thread) == [("narrator", "Once")]


CALL = {"name": "f", "args": {"x": 1}, "id": "call_1", "type": "tool_call"}


class TestLangChain:
    FIELDS: ClassVar[Any] = {"additional_kwargs": {}, "response_metadata": {}, "name": None, "id": None}

    def dumped(self, way: str, kind: str, content: Any, **rest: Any) -> dict[str, Any]:
        data = {"content": content, **self.FIELDS, "type": kind, **rest}
        if way == "dict":
            return {"type": kind, "data": data}
        if way == "model":
            return data
        name = {"ai": "AIMessage"}.get(kind, f"{kind.title()}Message")
        return {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain", "schema", "messages", name],
            "kwargs": data,
        }

    @pytest.mark.parametrize("way", ["dict", "model", "lc"])
    @pytest.mark.parametrize("around", ["list", "thread", "lines"])
    def test_its_three_ways_to_write_messages(self, way: str, around: str) -> None:
        messages = [
            self.dumped(way, "system", "Be brief."),
            self.dumped(way, "human", [{"type": "text", "text": "hello"}]),
            self.dumped(way, "ai", "", tool_calls=[CALL]),
            self.dumped(way, "tool", "2", tool_call_id="call_1"),
            self.dumped(way, "chat", "hm", role="narrator"),
        ]
        [thread] = threads(
            {"messages": messages} if around == "thread" else messages, lines=around == "lines"
        )
        assert [message.role for message in thread.messages] == [
            "system",
            "user",
            "assistant",
            "tool",
            "narrator",
        ]
        assert thread.messages[1].content == [{"type": "text", "text": "hello"}]
        assert thread.messages[2].to_dict()["tool_calls"] == [CALL]
        assert thread.messages[3].to_dict()["tool_call_id"] == "call_1"

    def test_a_chunk_and_a_kind_that_is_none(self) -> None:
        [thread] = threads([self.dumped("dict", "AIMessageChunk", "hi"), self.dumped("dict", "remove", "")])
        assert said(thread) == [("assistant", "hi")]
        assert len(thread.damage) == 1


class TestPydanticAi:
    HISTORY: ClassVar[Any] = [
        {
            "kind": "request", "instructions": None, "timestamp": "2026-01-01T00:00:00Z",
            "parts": [
                {"part_kind": "system-prompt", "content": "Be brief.", "dynamic_ref": None},
                {"part_kind": "user-prompt", "content": ["look", {"kind": "image-url", "url": "https://x/y.png"}]},
            ],
        },
        {
            "kind": "response", "model_name": "m", "usage": {"input_tokens": 3},
            "parts": [
                {"part_kind": "thinking", "content": "hm", "signature": "s"},
                {"part_kind": "tool-call", "tool_name": "f", "args": {"x": 1}, "tool_call_id": "call_1"},
            ],
        },
        {
            "kind": "request",
            "parts": [
                {"part_kind": "tool-return", "tool_name": "f", "content": {"y": 2}, "tool_call_id": "call_1"},
            ],
        },
        {"kind": "response", "parts": [{"part_kind": "text", "content": "Two."}], "finish_reason": "stop"},
    ]  # fmt: skip

    @pytest.mark.parametrize("around", ["list", "thread", "list of lists", "lines"])
    def test_a_history(self, around: str) -> None:
        history: Any = self.HISTORY
        form = {"list": history, "thread": {"messages": history}, "list of lists": [history]}.get(
            around, history
        )
        [thread] = threads(form, lines=around == "lines")
        assert [message.role for message in thread.messages] == [
            "system",
            "user",
            "assistant",
            "tool",
            "assistant",
        ]
        assert thread.messages[1].content[1]["url"] == "https://x/y.png"
        call = thread.messages[2].to_dict()
        assert call["tool_calls"][0]["function"] == {"name": "f", "arguments": {"x": 1}}
        assert call["tool_calls"][0]["id"] == thread.messages[3].to_dict()["tool_call_id"]
        assert call["content"][0]["signature"] == "s"
        assert call["pydantic_ai"]["usage"] == {"input_tokens": 3}
        assert thread.messages[4].content == "Two."
        assert thread.messages[4].to_dict()["pydantic_ai"]["finish_reason"] == "stop"

    def test_a_part_of_no_known_kind_is_named(self) -> None:
        parts = [{"part_kind": "hologram"}, {"part_kind": "user-prompt", "content": "x"}, 7]
        [thread] = threads([{"kind": "request", "parts": parts}])
        assert said(thread) == [("user", "x")]
        assert len(thread.damage) == 2
        assert thread.damage[0].startswith("message 1, part 1")

    def test_a_retry_of_a_tool_is_the_tools(self) -> None:
        parts = [
            {"part_kind": "retry-prompt", "content": "again", "tool_name": "f", "tool_call_id": "call_1"},
            {"part_kind": "retry-prompt", "content": "again", "tool_name": None},
        ]
        [thread] = threads([{"kind": "request", "parts": parts}])
        assert [message.role for message in thread.messages] == ["tool", "user"]


def of_assistants(number: int, thread: str = "thread_1", time: int | None = None) -> dict[str, Any]:
    text = {"value": f"{number}", "annotations": [] if number else [{"type": "file_citation"}]}
    return {
        "id": f"msg_{number}", "object": "thread.message",
        "created_at": 1700000000 + (number if time is None else time),
        "thread_id": thread, "role": "user", "content": [{"type": "text", "text": text}], "metadata": {},
    }  # fmt: skip


class TestAssistants:
    @pytest.mark.parametrize("newest_first", [True, False])
    def test_a_listing_becomes_a_thread_oldest_first(self, newest_first: bool) -> None:
        data = [of_assistants(number) for number in range(4)][:: -1 if newest_first else 1]
        [thread] = threads({"object": "list", "data": data, "has_more": False, "first_id": "msg_3"})
        assert thread.id == "thread_1"
        assert [message.content[0]["text"] for message in thread.messages] == ["0", "1", "2", "3"]
        assert thread.messages[0].content[0]["annotations"] == [{"type": "file_citation"}]
        assert not thread.damage

    def test_messages_of_one_second_are_newest_first_too(self) -> None:
        data = [of_assistants(number, time=0) for number in (2, 1, 0)]
        [thread] = threads({"object": "list", "data": data})
        assert [message.content[0]["text"] for message in thread.messages] == ["0", "1", "2"]

    def test_a_page_that_is_not_the_last_says_so_and_threads_are_kept_apart(self) -> None:
        data = [of_assistants(2, "t2"), of_assistants(1, "t1"), of_assistants(0, "t2")]
        second, first = threads({"object": "list", "data": data, "has_more": True})
        assert [message.content[0]["text"] for message in second.messages] == ["0", "2"]
        assert "has_more" in first.damage[0]

    @pytest.mark.parametrize("lines", [True, False])
    def test_its_messages_alone_newest_first_too(self, lines: bool) -> None:
        [thread] = threads([of_assistants(number) for number in (2, 1, 0)], lines=lines)
        assert [message.content[0]["text"] for message in thread.messages] == ["0", "1", "2"]


@pytest.mark.parametrize("key", ["thread_id", "session_id", "conversation_id", "SessionId", "chatId"])
@pytest.mark.parametrize("lines", [True, False])
def test_a_message_a_line_with_a_key_of_its_thread(key: str, lines: bool) -> None:
    rows = [{key: "ab"[number % 2], "role": "user", "content": f"{number}"} for number in range(6)]
    first, second = threads(rows, lines=lines)
    assert (first.id, second.id) == ("a", "b")
    assert [text for _, text in said(first)] == ["0", "2", "4"]
    assert first.messages[0].to_dict() == rows[0]


def test_a_message_a_line_without_a_key_is_the_file_and_numbers_are_keys() -> None:
    [thread] = threads([{"role": "user", "content": f"{number}"} for number in range(3)], lines=True)
    assert len(thread.messages) == 3
    [thread] = threads([{"session_id": 7, "message": {"role": "user", "content": "x"}}], lines=True)
    assert thread.id == "7"
    assert thread.messages[0].to_dict() == {"role": "user", "content": "x"}


def test_one_bad_message_line_is_named_and_the_others_stay() -> None:
    lines = [
        '{"session_id": "a", "role": "user", "n": 1}',
        "broken",
        '{"session_id": "a", "role": "user", "n": NaN}',
    ]
    found = list(read_threads(io.BytesIO("\n".join([*lines, lines[0]]).encode())))
    [thread] = [one for one in found if isinstance(one, Conversation)]
    [bad] = [one for one in found if isinstance(one, BadThread)]
    assert len(thread.messages) == 2
    assert thread.damage[0].startswith("message 2: ")
    assert bad.where == "line 2"


def test_more_messages_than_can_be_held_are_refused_with_what_was_read() -> None:
    line = json.dumps({"session_id": "a", "role": "user", "content": "x" * 1000}).encode()
    found = list(read_threads(io.BytesIO(b"\n".join([line] * 50)), max_bytes=20_000))
    [bad] = [one for one in found if isinstance(one, BadThread)]
    assert "split it" in bad.reason


def test_lines_for_fine_tuning_keep_their_tools_and_weights() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    calls = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "assistant", "content": "y", "weight": 0},
    ]
    lines = [
        {"messages": messages, "tools": tools, "parallel_tool_calls": False},
        {"messages": messages, "tools": tools, "parallel_tool_calls": True},
        {"messages": messages, "functions": tools},
        {"messages": messages},
    ]
    found = threads(lines, lines=True)
    assert len({thread.id for thread in found}) == 4
    assert found[0].properties["metadata"] == {"tools": tools, "parallel_tool_calls": False}
    assert [message.to_dict() for message in found[0].messages] == messages
