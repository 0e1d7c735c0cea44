"""The clients for Python, blocking and asynchronous: they do the same jobs as client.mjs, in this process."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

chat: Any = importlib.import_module("azure.communication.chat")
aio: Any = importlib.import_module("azure.communication.chat.aio")

_SOONER = {"retry_backoff_factor": 0.01}
"""As many tries as by default, sooner."""
_TRIES = 5


async def got(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def id_of(user: Any) -> str | None:
    return None if user is None else user.raw_id


def time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def user(id: str) -> Any:
    return chat.CommunicationUserIdentifier(id)


def people(given: list[dict[str, Any]] | None) -> list[Any] | None:
    if given is None:
        return None
    return [
        chat.ChatParticipant(
            identifier=user(one["id"]),
            display_name=one.get("name"),
            share_history_time=datetime.fromisoformat(one["since"]) if "since" in one else None,
        )
        for one in given
    ]


def thread(one: Any) -> dict[str, Any]:
    return {
        "id": one.id,
        "topic": one.topic,
        "created": time(one.created_on),
        "creator": id_of(one.created_by),
    }


def message(one: Any) -> dict[str, Any]:
    content = one.content
    found = {
        "id": one.id,
        "type": getattr(one.type, "value", one.type),
        "sequence": one.sequence_id,
        "version": one.version,
        "name": one.sender_display_name,
        "sender": id_of(one.sender),
        "created": time(one.created_on),
        "edited": time(one.edited_on),
        "deleted": time(one.deleted_on),
        "metadata": one.metadata,
    }
    if content is not None:
        found |= {"text": content.message, "topic": content.topic, "initiator": id_of(content.initiator)}
        if content.participants:
            found["participants"] = [id_of(each.identifier) for each in content.participants]
    return found


def item(one: Any) -> dict[str, Any]:
    return {"id": one.id, "topic": one.topic, "last": time(one.last_message_received_on)}


def participant(one: Any) -> dict[str, Any]:
    return {"id": id_of(one.identifier), "name": one.display_name, "since": time(one.share_history_time)}


def receipt(one: Any) -> dict[str, Any]:
    return {"sender": id_of(one.sender), "message": one.chat_message_id, "read": time(one.read_on)}


async def listed(pages: Any, show: Callable[[Any], Any], most: int | None) -> list[Any]:
    found = []
    by_page = pages.by_page()
    if hasattr(by_page, "__aiter__"):
        each = [[one async for one in page] async for page in by_page]
    else:
        each = [list(page) for page in by_page]
    for page in each:
        assert most is None or len(page) <= most
        found += [show(one) for one in page]
    return found


class Python:
    """Does jobs by the client of a kind, sync or async; it trusts the certificate of the service."""

    def __init__(self, kind: str, certificate: str) -> None:
        self._kind = kind
        self._verify = {"connection_verify": certificate, **_SOONER}

        self._runner = asyncio.Runner()
        self._made: dict[tuple[str, ...], Any] = {}

    def ask(self, job: dict[str, Any]) -> Any:
        return self._runner.run(self._turns(job) if job["do"] == "turns" else self._told(job))

    def close(self) -> None:
        async def close() -> None:
            for one in self._made.values():
                await got(one.close())

        self._runner.run(close())
        self._runner.close()

    def _client(self, job: dict[str, Any]) -> Any:
        at = job["base"], job["token"]
        if at not in self._made:
            package = chat if self._kind == "sync" else aio
            credential = package.CommunicationTokenCredential(job["token"])
            self._made[at] = package.ChatClient(job["base"], credential, **self._verify)
        return self._made[at]

    def _of(self, job: dict[str, Any], thread: str) -> Any:
        at = job["base"], job["token"], thread
        if at not in self._made:
            self._made[at] = self._client(job).get_chat_thread_client(thread, **self._verify)
        return self._made[at]

    async def _told(self, job: dict[str, Any]) -> dict[str, Any]:
        one = self._of(job, job["thread"]) if "thread" in job else None
        try:
            return {"ok": await self._call(self._client(job), one, job)}
        except HttpResponseError as error:
            code = None if error.error is None else error.error.code
            return {
                "error": type(error).__name__,
                "status": error.status_code,
                "code": code,
                "message": error.message,
            }
        except (ServiceRequestError, ServiceResponseError) as error:
            return {"error": type(error).__name__, "status": None, "code": None, "message": str(error)}

    async def _call(self, client: Any, of: Any, job: dict[str, Any]) -> Any:
        args = dict(job.get("args", {}))
        more = {"request_id": job["request"]} if "request" in job else {}
        size = args.get("size")
        page = {"results_per_page": size, **more}
        since = {"start_time": datetime.fromisoformat(args["since"])} if "since" in args else {}
        match job["do"]:
            case "create":
                token = {"idempotency_token": args["token"]} if "token" in args else {}
                given = people(args.get("participants"))
                made = await got(
                    client.create_chat_thread(args["topic"], thread_participants=given, **token, **more)
                )
                errors = [error.target for _, error in made.errors or ()]
                return {**thread(made.chat_thread), "errors": errors}
            case "threads":
                return await listed(client.list_chat_threads(**page, **since), item, size)
            case "delete_thread":
                return await got(client.delete_chat_thread(job["thread"], **more))
            case "properties":
                return thread(await got(of.get_properties(**more)))
            case "topic":
                return await got(of.update_topic(args["topic"], **more))
            case "send":
                sent = await got(
                    of.send_message(
                        args["text"],
                        sender_display_name=args.get("name"),
                        chat_message_type=args.get("type"),
                        metadata=args.get("metadata"),
                        **more,
                    )
                )
                return sent.id
            case "get":
                return message(await got(of.get_message(args["id"], **more)))
            case "messages":
                return await listed(of.list_messages(**page, **since), message, size)
            case "edit":
                return await got(
                    of.update_message(args["id"], args.get("text"), metadata=args.get("metadata"), **more)
                )
            case "delete":
                return await got(of.delete_message(args["id"], **more))
            case "add":
                wrong = await got(of.add_participants(people(args["participants"]), **more))
                return [error.target for _, error in wrong]
            case "remove":
                return await got(of.remove_participant(user(args["id"]), **more))
            case "participants":
                return await listed(of.list_participants(**page), participant, size)
            case "receipt":
                return await got(of.send_read_receipt(args["id"], **more))
            case "receipts":
                return await listed(of.list_read_receipts(**page), receipt, size)
            case "typing":
                return await got(of.send_typing_notification(sender_display_name=args.get("name"), **more))
            case other:
                raise AssertionError(other)

    async def _turns(self, job: dict[str, Any]) -> dict[str, Any]:
        """Texts sent to threads side by side.

        The client does not repeat a POST after a 502 or a lost connection. Whoever calls it does, and names
        the request as before.
        """

        def sending(of: Any, text: str, name: str) -> Any:
            return of.send_message(text, request_id=name)

        async def send(of: Any, text: str) -> None:
            name = str(uuid.uuid4())
            for left in reversed(range(_TRIES)):
                try:
                    if self._kind == "sync":
                        await asyncio.to_thread(sending, of, text, name)
                    else:
                        await sending(of, text, name)
                    return
                except AzureError:
                    if not left:
                        raise

        async def talk(id: str, texts: list[str]) -> int:
            of = self._of(job, id)
            for text in texts:
                await send(of, text)
            return len(texts)

        return {"ok": sum(await asyncio.gather(*(talk(id, texts) for id, texts in job["turns"].items())))}
