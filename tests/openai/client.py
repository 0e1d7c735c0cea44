"""OpenAI's clients for Python, in the environment that has them.

Each line of stdin is a job, and the line that is printed is its outcome. A job says which ``kind`` of client
does it, and is a ``call`` of a method, or ``turns``: writers side by side, each with a conversation and the
items of one request after another. It ends when stdin does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import inspect
import io
import json
import sys
from typing import Any, get_args, get_origin

openai: Any = importlib.import_module("openai")


def client(job: dict[str, Any], kind: str) -> Any:
    return made(f"{job['base']}/v1", job["key"], kind)


@functools.cache
def made(base: str, key: str, kind: str) -> Any:
    return (openai.AsyncOpenAI if kind == "async" else openai.OpenAI)(base_url=base, api_key=key)


async def got(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def shown(value: Any) -> Any:
    """What a method gave, with its type where it is a model of the client's."""
    if hasattr(value, "to_dict"):
        data = value.to_dict(mode="json")
        if type(value).__name__ == "ConversationItemList":
            data["data"] = [shown(one) for one in value.data]
        return {**data, "@type": type(value).__name__}
    return value


async def collected(pages: Any) -> list[Any]:
    """All that auto-paging brings."""
    if hasattr(pages, "__aiter__"):
        return [shown(one) async for one in pages]
    return [shown(one) for one in pages]


def failed(error: Any) -> dict[str, Any]:
    names = ("status_code", "code", "param", "type", "request_id", "message")
    return {"error": type(error).__name__, **{name: getattr(error, name, None) for name in names}}


async def call(job: dict[str, Any], kind: str) -> Any:
    asked, args = client(job, kind), dict(job.get("args", {}))
    if "headers" in job:
        args["extra_headers"] = job["headers"]
    if "body" in job:
        args["extra_body"] = job["body"]
    try:
        if "path" in job:
            options = {"params": job.get("query", {}), "headers": job.get("headers", {})}
            given = {"body": job["body"]} if "body" in job else {}
            sent = getattr(asked, job["method"])(job["path"], cast_to=object, options=options, **given)
            return {"ok": await got(sent)}
        method = asked
        for name in job["method"].split("."):
            method = getattr(method, name)
        if job.get("collect"):
            return {"ok": await collected(method(**args))}
        answer = await got(method(**args))
        return {"ok": shown(answer)}
    except openai.OpenAIError as error:
        return failed(error)


async def turns(job: dict[str, Any], kind: str) -> Any:
    asked = client(job, kind)

    async def one(conversation: str, requests: list[Any]) -> int:
        for items in requests:
            send = asked.conversations.items.create
            if kind == "async":
                await send(conversation, items=items)
            else:
                await asyncio.to_thread(send, conversation, items=items)
        return len(requests)

    done = await asyncio.gather(*(one(*writer) for writer in job["turns"]), return_exceptions=True)
    errors = [failed(one) for one in done if isinstance(one, BaseException)]
    return errors[0] if errors else {"ok": sum(count for count in done if isinstance(count, int))}


def sample(of: Any, pick: int, depth: int = 0) -> Any:
    """A value of a type that the client's models have; `pick` says which of several types it is."""
    origin, args = get_origin(of), get_args(of)
    if hasattr(of, "model_fields"):
        return {
            field.alias or name: sample(field.annotation, pick, depth + 1)
            for name, field in of.model_fields.items()
            if field.is_required() or depth < 3
        }
    if origin is not None and str(origin).endswith("Annotated"):
        return sample(args[0], pick, depth)
    if origin is not None and ("Union" in str(origin)):
        kinds = [one for one in args if one is not type(None)]
        return sample(kinds[pick % len(kinds)], pick, depth)
    if "Literal" in str(origin):
        return args[pick % len(args)]
    if origin is list:
        return [sample(args[0], pick, depth)]
    if origin is dict:
        return {"key": sample(args[1], pick, depth)}
    plain: dict[Any, Any] = {str: f"text {pick} \u00e9\U0001f642", int: 7, float: 0.1, bool: True}
    return plain.get(of, {"any": [1, 1.5, None, "\u2028"]})


def samples() -> list[tuple[str, Any]]:
    """Items of every type that the client knows, three of each, by the name of their model."""
    module = importlib.import_module("openai.types.conversations.conversation_item")
    models = get_args(get_args(module.ConversationItem)[0])
    return [(model.__name__, sample(model, pick)) for model in models for pick in (0, 1, -1)]


def run(program: str) -> dict[str, str]:
    """What a program of its own prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(program, "page", "exec"), {"__name__": "__main__"})  # noqa: S102 - it is from a page of ours
    return {"ok": printed.getvalue()}


async def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        kind = job["kind"]
        if job["do"] == "samples":
            outcome: Any = samples()
        elif job["do"] == "run":
            outcome = await asyncio.to_thread(run, job["program"])
        elif job["do"] == "agents":
            agents = importlib.import_module("agents_session")
            outcome = await agents.run(client(job, "async"))
        else:
            outcome = await (turns if job["do"] == "turns" else call)(job, kind)
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
