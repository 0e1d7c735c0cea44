"""A first conversation, with the blocking store: run it as often as you like."""

import chatstore

with chatstore.connect("sqlite:///chat.db") as store:
    thread = store.create_thread(topic="A trip to Lisbon", owner="ada")

    store.append(thread.id, {"role": "user", "content": "Where should I stay in Lisbon?"})
    store.append(
        thread.id,
        {"role": "assistant", "content": "Alfama is quiet at night, Bairro Alto is not."},
        {"role": "user", "content": "Alfama, then."},
    )

    for message in store.read(thread.id, last=20):
        print(f"{message.role}: {message.content}")

    assert [message.role for message in store.read(thread.id)] == ["user", "assistant", "user"]
    assert store.list_threads(owner="ada").items[0].topic == "A trip to Lisbon"
