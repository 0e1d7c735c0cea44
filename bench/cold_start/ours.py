"""The built artefact's handler, until it reaches DynamoDB itself: with the one call that `bare` makes."""

from typing import Any

import handler as artefact  # type: ignore[import-not-found]


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    answer: dict[str, Any] = artefact.handler(event, context)
    import bare  # type: ignore[import-not-found]

    bare.handler(event, context)
    return answer
