"""What chat applications export: ChatGPT's trees, Claude's lists, and the pages of an API's listing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from chatstore.codec import Json
from chatstore.importing.conversations import Draft, Drafted
from chatstore.importing.values import fault

__all__ = ["chatgpt", "claude", "listing", "oldest_first"]

_CIRCLE = "it has messages that follow each other in a circle, so their order may not be that of the talk"
_CLAUDE = {"human": "user", "assistant": "assistant"}


def chatgpt(form: dict[str, Json]) -> Iterator[Draft]:
    """A conversation of ChatGPT's ``conversations.json``: the branch that is shown, the others as forks."""
    nodes = {name: node for name, node in form["mapping"].items() if isinstance(node, dict)}
    lost = [f"node {name!a} is not one" for name in form["mapping"].keys() - nodes.keys()]
    parents = {name: node.get("parent") for name, node in nodes.items()}
    messages = {
        name: Drafted(f"message {number} ({name})", _chatgpt(node["message"]))
        for number, (name, node) in enumerate(nodes.items(), 1)
        if node.get("message") is not None
    }
    about = {
        name: value for name, value in form.items() if name not in ("mapping", "current_node", "title", "id")
    }
    thread_id = form.get("conversation_id") or form.get("id")
    yield from _branches(
        thread_id, form.get("title"), about, parents, messages, form.get("current_node"), lost
    )


def claude(form: dict[str, Json]) -> Iterator[Draft]:
    """A conversation of Claude's ``conversations.json``: the newest branch, and each other as a fork."""
    about = {
        name: value
        for name, value in form.items()
        if name not in ("chat_messages", "name", "uuid", "current_leaf_message_uuid")
    }
    items: list[Json] = form["chat_messages"]
    names = [_name(item, number) for number, item in enumerate(items, 1)]
    known = set(names)
    parents: dict[str, Json] = {}
    messages: dict[str, Drafted] = {}
    for number, (name, item) in enumerate(zip(names, items, strict=True), 1):
        said = item.get("parent_message_uuid") if isinstance(item, dict) else None
        before = names[number - 2] if number > 1 else None
        # Older exports name no parents, and are lists; the first message names one that is nowhere.
        parents[name] = (
            said if isinstance(said, str) and said in known else None if said is not None else before
        )
        messages[name] = Drafted(f"message {number}", _claude(item))
    current = form.get("current_leaf_message_uuid") or (names[-1] if names else None)
    yield from _branches(form.get("uuid"), form.get("name"), about, parents, messages, current, [])


def listing(form: dict[str, Json]) -> list[tuple[Json, Sequence[Json], Sequence[str]]]:
    """A page of an API's listing: the messages of each of its threads, and what is missing."""
    data: list[Json] = form["data"]
    threads: dict[Json, list[Json]] = {}
    for item in data:
        name = item.get("thread_id") if isinstance(item, dict) else None
        threads.setdefault(name if isinstance(name, str) else None, []).append(item)
    missing = (
        ["it says has_more: it is one page of several, and the others are missing"]
        if form.get("has_more")
        else []
    )
    return [(name, items, missing) for name, items in threads.items()]


def oldest_first(items: Sequence[Json]) -> Sequence[Json]:
    """Messages of the Assistants API are listed newest first unless asked for otherwise."""
    times = [
        item.get("created_at")
        for item in items
        if isinstance(item, dict) and item.get("object") == "thread.message"
    ]
    first, last = (times[0], times[-1]) if times else (None, None)
    if not isinstance(first, (int, float)) or not isinstance(last, (int, float)) or first < last:
        return items
    return items[::-1]


def _branches(
    thread_id: Json,
    title: Json,
    about: Mapping[str, Json],
    parents: Mapping[str, Json],
    messages: Mapping[str, Drafted],
    current: Json,
    lost: Sequence[str],
) -> Iterator[Draft]:
    """A thread for the way to `current`, and one for that to each other leaf, of the same beginning."""
    inner = {parent for parent in parents.values() if isinstance(parent, str)}
    leaves = [name for name in parents if name not in inner]
    if not isinstance(current, str) or current not in parents:
        current = leaves[-1] if leaves else None
    seen: set[str] = set()
    for leaf in [current, *(leaf for leaf in leaves if leaf != current)]:
        if leaf is None or (leaf != current and leaf not in messages):
            continue
        way = _way(leaf, parents)
        seen.update(way)
        form = {"id": thread_id, "topic": title or None, "metadata": dict(about)}
        within = ""
        if leaf != current:
            within = f", branch {leaf!a}"
            form["id"] = f"{thread_id}#{leaf}" if isinstance(thread_id, str) else thread_id
            form["metadata"] = {**about, "forked_from": thread_id, "branch": leaf}
        damage = [*lost] if leaf == current else []
        if parents[way[0]] in way:
            damage.append(_CIRCLE)
        elif isinstance(parents[way[0]], str):
            damage.append(f"what came before {way[0]!a} is not in the file")
        yield Draft(within, form, [messages[name] for name in way if name in messages], damage)
    left = [messages[name] for name in parents if name not in seen and name in messages]
    if not left and current is not None:
        return
    alone = not isinstance(thread_id, str) or current is None
    form = {
        "id": thread_id if alone else f"{thread_id}#circle",
        "topic": title or None,
        "metadata": dict(about),
    }
    yield Draft("" if alone else ", circle", form, left, [_CIRCLE] if left else lost)


def _way(leaf: str, parents: Mapping[str, Json]) -> list[str]:
    way: dict[str, None] = {}
    name: Json = leaf
    while isinstance(name, str) and name in parents and name not in way:
        way[name] = None
        name = parents[name]
    return list(way)[::-1]


def _chatgpt(message: Json) -> Json:
    if not isinstance(message, dict):
        return message
    author = message.get("author")
    if not isinstance(author, dict):
        return message
    rest = {name: value for name, value in message.items() if name not in ("author", "content")}
    further = {name: value for name, value in author.items() if name not in ("role", "name") and value}
    named = {"name": author["name"]} if author.get("name") is not None else {}
    kept = {"author": further} if further else {}
    return {
        "role": author.get("role"),
        "content": _chatgpt_content(message.get("content")),
        **named,
        **kept,
        **rest,
    }


def _chatgpt_content(content: Json) -> Json:
    """The text, where that is all; a list of parts otherwise, with all that each says."""
    if not isinstance(content, dict) or fault(content.get("content_type")) is not None:
        return content
    kind, parts = content.get("content_type"), content.get("parts")
    rest = {name: value for name, value in content.items() if name not in ("content_type", "parts")}
    if kind not in ("text", "multimodal_text") or not isinstance(parts, list) or rest:
        return [{"type": kind, **{name: value for name, value in content.items() if name != "content_type"}}]
    if len(parts) == 1 and isinstance(parts[0], str):
        return parts[0]
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {
            "type": part.get("content_type"),
            **{name: v for name, v in part.items() if name != "content_type"},
        }
        if isinstance(part, dict)
        else part
        for part in parts
    ]


def _name(item: Json, number: int) -> str:
    name = item.get("uuid") if isinstance(item, dict) else None
    return name if isinstance(name, str) else f"#{number}"


def _claude(item: Json) -> Json:
    if not isinstance(item, dict) or "sender" not in item:
        return item
    content, text, sender = item.get("content"), item.get("text"), item["sender"]
    role = _CLAUDE.get(sender, sender) if isinstance(sender, str) else sender
    rest = {name: value for name, value in item.items() if name not in ("sender", "content", "text")}
    if not content:
        return {"role": role, "content": text, **rest}
    said = (
        [part.get("text") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    )
    # The text is what the parts of the content say, once more.
    again = not text or text in ("\n".join(map(str, said)), "".join(map(str, said)))
    return {"role": role, "content": content, **({} if again else {"text": text}), **rest}
