"""A process like a new instance: imports a handler from where it is, answers one event, and says so.

``first_answer.py MODULE FOLDER…`` takes the event from stdin; a line on stdout is the answer's status.
"""

import importlib
import json
import os
import sys
from types import SimpleNamespace

module, *folders = sys.argv[1:]
sys.path[:0] = folders
context = SimpleNamespace(aws_request_id="first")
answer = importlib.import_module(module).handler(json.loads(sys.stdin.buffer.read()), context)
print(json.dumps(answer["statusCode"]), flush=True)
os._exit(0)
