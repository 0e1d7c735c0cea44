"""A process like a new instance: loads a function app into Microsoft's worker library, answers one request.

``first_answer.py DRIVER WORKER APP`` takes the request from stdin; a line on stdout is the answer's status.
DRIVER is tests/functions/functions_worker.py, loaded from its file so that nothing else becomes importable.
"""

import asyncio
import importlib.util
import json
import os
import sys
from pathlib import Path

driver, worker, app = sys.argv[1:]
spec = importlib.util.spec_from_file_location("driver", driver)
assert spec is not None
assert spec.loader is not None
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)


async def main() -> None:
    host = await module.Host.of(worker, Path(app))
    method, path, body, headers = json.loads(sys.stdin.buffer.read())
    answer = await host.call(method, path, body.encode(), **headers)
    print(answer.get("status", answer), flush=True)
    os._exit(0)


asyncio.run(main())
