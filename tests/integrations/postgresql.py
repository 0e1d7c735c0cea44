"""PostgreSQL, in the environment that has one: in the folder and at the port that the command line names."""

from __future__ import annotations

import importlib
import os
import pwd
import sys
from pathlib import Path
from typing import Any

theirs: Any = importlib.import_module("pgserver.postgres_server")


def prepare(folder: str) -> str | None:
    """Make a server's files there; gives the user that it is to run as, where that is not who runs this."""
    theirs.PostgresServer.ensure_postgres_running = lambda _: None
    server = theirs.PostgresServer(Path(folder).resolve(), cleanup_mode=None)
    user: str | None = server.system_user
    return user


def main() -> None:
    folder, port = sys.argv[1:]
    user = prepare(folder)
    if user is not None:
        account = pwd.getpwnam(user)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    program = theirs.POSTGRES_BIN_PATH / "postgres"
    options = ["-h", "127.0.0.1", "-p", port, "-k", "", "-F"]
    os.execv(program, [program, "-D", folder, *options])  # noqa: S606 - it starts what it is for


if __name__ == "__main__":
    main()
