"""function_app.py in Microsoft's worker library, called as the host calls it, as long as anybody asks.

``python worker.py PORT WORKER [PACKAGES]``: it listens on that port, and WORKER and PACKAGES are those of
`tests/functions/functions_worker.py`. Each request is a line of JSON, and so is each answer.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

_spec = importlib.util.spec_from_file_location(
    "functions_worker", Path(__file__).parents[1] / "functions/functions_worker.py"
)
assert _spec is not None
assert _spec.loader is not None
functions_worker: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(functions_worker)


async def main(port: int, worker: str, *packages: str) -> None:
    sys.path += packages
    host = await functions_worker.Host.of(worker, functions_worker.ROOT)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if line:
            asked = json.loads(line)
            body = asked["body"].encode("latin-1")
            answer = await host.call(asked["method"], asked["path"], body, **asked["headers"])
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=2**24)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
