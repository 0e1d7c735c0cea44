"""The Agents SDK's session over this service, with that SDK's own scripted model."""

from __future__ import annotations

import importlib
import os
from typing import Any

os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"
agents: Any = importlib.import_module("agents")
testing: Any = importlib.import_module("agents.testing")
memory: Any = importlib.import_module("agents.memory.openai_conversations_session")


async def run(client: Any) -> dict[str, Any]:
    """Two runs of an agent, the second with the first in its session; then what a session can do besides."""
    called: list[str] = []

    def weather(city: str) -> str:
        """Tell the weather of a city."""
        called.append(city)
        return "rain"

    model = testing.ScriptedModel(
        [
            [testing.function_call("weather", {"city": "Paris"}, call_id="call_1")],
            [testing.assistant_message("It rains in Paris.")],
            [testing.assistant_message("Take an umbrella.")],
        ]
    )
    agent = agents.Agent(name="assistant", model=model, tools=[agents.function_tool(weather)])
    session = memory.OpenAIConversationsSession(openai_client=client)
    first = await agents.Runner.run(agent, "How is Paris?", session=session)
    second = await agents.Runner.run(agent, "And now?", session=session)
    items = await session.get_items()
    newest = await session.get_items(limit=2)
    popped = await session.pop_item()
    left = await session.get_items()
    await session.add_items([{"role": "user", "content": f"many {number}"} for number in range(45)])
    many = await session.get_items()
    conversation = session.session_id
    await session.clear_session()
    return {
        "answers": [first.final_output, second.final_output],
        "called": called,
        "seen": [one.get("type") or one.get("role") for one in model.calls[2].input],
        "items": items,
        "newest": newest,
        "popped": popped,
        "left": len(left),
        "many": [one["content"][0]["text"] for one in many[len(left) :]],
        "conversation": conversation,
    }
