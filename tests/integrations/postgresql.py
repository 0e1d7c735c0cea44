"""PostgreSQL, in the environment that has one: in the folder and at the port that the command line names.

A second port names a server of which this one is to be the standby.
"""

from __future__ import annotations

import importlib
import os
import pwd
import sys
from pathlib import Path
from typing import Any

theirs: Any = importlib.import_module("pgserver.postgres_server")
commands: Any = importlib.import_module("pgserver._commands")


def prepare(folder: str, *primary: str) -> str | None:
    """Make a server's files there; gives the user that it is to run as, where that is not who runs this."""

    def copied(_: object, *, pgdata: Path, user: str | None) -> None:
        place = ["-h", "127.0.0.1", "-U", "postgres", "-p", *primary]
        commands.pg_basebackup(["-R", "-c", "fast", *place], pgdata=pgdata, user=user)

    theirs.PostgresServer.ensure_postgres_running = lambda _: None
    if primary:
        theirs.initdb = copied
    server = theirs.PostgresServer(Path(folder).resolve(), cleanup_mode=None)
    user: str | None = server.system_user
    return user


def main() -> None:
    folder, port, *primary = sys.argv[1:]
    user = prepare(folder, *primary)
    if user is not None:
        account = pwd.getpwnam(user)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    program = theirs.POSTGRES_BIN_PATH / "postgres"
    options = ["-h", "127.0.0.1", "-p", port, "-k", "", "-F"]
    os.execv(program, [program, "-D", folder, *options])  # noqa: S606 - it starts what it is for


if __name__ == "__main__":
    main()
