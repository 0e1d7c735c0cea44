"""The same conversation on an event loop, with a reply that must follow exactly what was read."""

import asyncio

import chatstore


async def main() -> None:
    async with chatstore.aconnect("sqlite:///chat.db") as store:
        thread = await store.create_thread(topic="A trip to Lisbon", owner="ada")
        await store.append(thread.id, {"role": "user", "content": "Where should I stay in Lisbon?"})

        # What a model gets to see: the newest messages that fit.
        window = await store.window(thread.id, max_tokens=4000)
        reply = {"role": "assistant", "content": f"You have asked {len(window)} question: try Alfama."}

        # Had somebody else written meanwhile, this would raise chatstore.Conflict.
        await store.append(thread.id, reply, if_match=window.etag)

        async for message in store.iter_messages(thread.id):
            print(f"{message.role}: {message.content}")


asyncio.run(main())
