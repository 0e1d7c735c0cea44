"""Runs function_app.py in Microsoft's own worker library, as the host would, and prints what came of it.

``python functions_worker.py WORKER [PACKAGES]``: the folder that the library is installed in, and the one
that the app's packages are in, if they are not this Python's own. What the host sends are protocol buffers;
the library asks of them only what the stand-ins here have.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

ROOT = Path(__file__).parents[2]


# Those of BindingInfo, which azure.functions gives as numbers.
_NUMBERS: dict[str, object] = {"out": 1, "inout": 2, "undefined": 0}


class Kind(type):
    """A message class; what it has no other word for are the constants of its enumerations."""

    def __getattr__(cls, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return _NUMBERS.get(name, f"{cls.__name__}.{name}")


class Protos:
    """Makes a class of messages for every name."""

    def __init__(self) -> None:
        self._kinds: dict[str, type] = {}

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._kinds.setdefault(name, Kind(name, (SimpleNamespace,), {}))


PROTOS = Protos()


class Data(SimpleNamespace):
    """One of the forms of data, which says which it is."""

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 - as protocol buffers call it
        return next(iter(self.__dict__), None)


def request(**properties: Any) -> Any:
    return SimpleNamespace(
        request=SimpleNamespace(**properties), properties={"host": "127.0.0.1", "protos": PROTOS}
    )


def invocation(function: str, name: str, data: Data) -> Any:
    return request(
        invocation_request=SimpleNamespace(
            invocation_id=f"i{time.monotonic_ns()}",
            function_id=function,
            input_data=[Bound(name, data)],
            trigger_metadata={},
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
    )


class Bound(SimpleNamespace):
    """What a parameter of a function is given."""

    def __init__(self, name: str, data: Data) -> None:
        super().__init__(name=name, data=data)

    def WhichOneof(self, _: str) -> str:  # noqa: N802 - as protocol buffers call it
        return "data"


class Written(logging.Handler):
    """The root's only handler, as the worker has one, which sends a record's text and name to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        self.lines.append({"category": record.name, "level": record.levelname, "message": text})


class Host:
    """The library with an app in it, indexed."""

    def __init__(self, library: Any, functions: dict[str, Any]) -> None:
        self._library = library
        self.functions = functions
        [self._web] = [one for name, one in functions.items() if name != "sweep"]
        [self._parameter] = [
            json.loads(raw)["name"] for raw in self._web.raw_bindings if "httpTrigger" in raw
        ]

    @classmethod
    async def of(cls, worker: str, app: Path) -> Host:
        sys.path[:0] = [str(app)]
        sys.path.append(worker)
        import azure.functions  # the project's own comes before the worker's

        assert azure.functions.__file__
        from azure_functions_runtime import handle_event as library  # type: ignore[import-not-found, unused-ignore]

        ready = await library.worker_init_request(
            request(worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=str(app)))
        )
        assert ready.result.status == "StatusResult.Success", ready.result.exception
        indexed = await library.functions_metadata_request(request())
        return cls(library, {one.name: one for one in indexed.function_metadata_results})

    async def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> dict[str, Any]:
        route, _, query = path.partition("?")
        http = SimpleNamespace(
            method=method,
            url=f"https://chat.example{path}",
            headers=headers,
            body=Data(bytes=body),
            params={"route": route.lstrip("/")},
            query=dict(parse_qsl(query)),
        )
        answer = await self._library.invocation_request(
            invocation(self._web.function_id, self._parameter, Data(http=http))
        )
        if answer.result.status != "StatusResult.Success":
            return {"failed": answer.result.exception.message}
        sent = answer.return_value.http
        held = vars(sent.body)
        value = held.get("bytes", held.get("string", b""))
        return {
            "status": int(sent.status_code),
            "headers": {name.lower(): one for name, one in sent.headers.items()},
            "body": value.decode("latin-1") if isinstance(value, bytes) else value,
        }

    async def tick(self) -> dict[str, Any]:
        timer = json.dumps({"Schedule": {}, "ScheduleStatus": None, "IsPastDue": False})
        answer = await self._library.invocation_request(
            invocation(self.functions["sweep"].function_id, "timer", Data(json=timer))
        )
        failed = getattr(answer.result, "exception", None)
        return {"timer": answer.result.status, **({"failed": failed.message} if failed else {})}


def broken(text: str) -> None:
    """Have the app's store fail as no storage does."""
    from chatstore.store import AsyncChatStore, ChatStore

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError(text)

    AsyncChatStore.get_thread = ChatStore.sweep = fail  # type: ignore[method-assign]


async def main(worker: str, *packages: str) -> None:
    sys.path += packages
    root, written = logging.getLogger(), Written()
    root.addHandler(written)
    root.setLevel(logging.INFO)
    host = await Host.of(worker, ROOT)
    answers = [await host.call("GET", "/healthz")]
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "call":
            body = asked["body"].encode("latin-1")
            answers.append(await host.call(asked["method"], asked["path"], body, **asked["headers"]))
        elif asked["do"] == "together":
            calls = [
                host.call(
                    "POST",
                    asked["path"],
                    json.dumps([{"role": "user", "content": n}]).encode(),
                    **asked["headers"],
                )
                for n in range(asked["count"])
            ]
            answers.append({"statuses": [one.get("status") for one in await asyncio.gather(*calls)]})
        elif asked["do"] == "break":
            broken(asked["text"])
        else:
            answers.append(await host.tick())
    functions = {name: [json.loads(raw) for raw in one.raw_bindings] for name, one in host.functions.items()}
    retries = {name: vars(one.retry_options or SimpleNamespace()) for name, one in host.functions.items()}
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    log = written.lines
    told = {"functions": functions, "retries": retries, "answers": answers, "log": log}
    print(json.dumps({"python": version, **told}, default=str))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
