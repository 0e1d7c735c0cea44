"""A password that AWS Secrets Manager keeps, for a process whose environment is not to hold it.

``PGPASSWORD_SECRET`` is the ARN of a secret whose key ``password`` is the database's.
"""

from __future__ import annotations

import importlib
import json
import re
import threading
from functools import partial
from typing import Any

import psycopg

from chatstore.backends.postgres.address import Address
from chatstore.backends.postgres.faults import may_come_back
from chatstore.errors import ConfigurationError, Unavailable
from chatstore.extras import how_to_install
from chatstore.settings import credential

__all__ = ["Password", "password_of_environment"]

_VARIABLE = "PGPASSWORD_SECRET"
_ARN = re.compile(r"arn:[\w-]+:secretsmanager:([\w-]+):\d+:secret:\S+")
_SECONDS, _TRIES = 5, 2
_REFUSED = frozenset({400, 403, 404})


def password_of_environment() -> Password | None:
    """What ``PGPASSWORD_SECRET`` names; None where it is not set. Raises ConfigurationError for no ARN."""
    named = credential(_VARIABLE)
    if not named:
        return None
    found = _ARN.fullmatch(named)
    if found is None:
        raise ConfigurationError(f"{_VARIABLE} is not the ARN of a secret of AWS Secrets Manager")
    return Password(named, found[1])


class Password:
    """The password in a secret of a region.

    It is read for the first connection and kept. When a server refuses it, it is read again, once for all who
    were refused with it.
    """

    def __init__(self, secret: str, region: str) -> None:
        self._secret = secret
        self._region = region
        self._lock = threading.Lock()
        self._known: str | None = None

    def with_it(self, address: Address) -> Address:
        """The same address, which is connected to with the password."""
        return Address(address.conninfo, address.place, partial(self._dial, address.conninfo))

    def _dial(
        self, conninfo: str, context: psycopg.abc.AdaptContext | None = None
    ) -> psycopg.Connection[Any]:
        """A connection. Raises psycopg's errors, ConfigurationError and Unavailable."""
        connect = partial(psycopg.connect, conninfo, autocommit=True, context=context)
        password = self._known or self._newer(None)
        try:
            return connect(password=password)
        except psycopg.OperationalError as error:
            if may_come_back(error):
                raise
            newer = self._newer(password)
            if newer == password:
                raise
            return connect(password=newer)

    def _newer(self, refused: str | None) -> str:
        with self._lock:
            if self._known is None or self._known == refused:
                self._known = self._read()
            return self._known

    def _read(self) -> str:
        try:
            botocore = importlib.import_module("botocore.session")
            Config = importlib.import_module("botocore.config").Config  # noqa: N806 - it is a class
            errors = importlib.import_module("botocore.exceptions")
        except ImportError as error:
            raise ConfigurationError(
                f"{_VARIABLE} needs a package that is not installed ({error.name}): "
                f"{how_to_install('dynamodb')}, which brings it"
            ) from error
        config = Config(
            connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": _TRIES}
        )
        try:
            client = botocore.get_session().create_client(
                "secretsmanager", region_name=self._region, config=config
            )
            try:
                answer = client.get_secret_value(SecretId=self._secret)
            finally:
                client.close()
        except errors.ClientError as error:
            raise _refusal(error) from error
        except errors.NoCredentialsError as error:
            raise ConfigurationError(
                f"{_VARIABLE} needs credentials of AWS, and there are none: "
                "give the function a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from error
        except errors.BotoCoreError as error:
            raise Unavailable(
                f"Secrets Manager was not reached ({type(error).__name__}), which holds the password that "
                f"{_VARIABLE} names: try again; from a VPC it needs an endpoint or a NAT gateway"
            ) from error
        return _password_in(answer.get("SecretString"))


def _refusal(error: Any) -> ConfigurationError | Unavailable:
    """The error of ours for an answer that is none; what it says may name the account, and is left out."""
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if status in _REFUSED and "Throttl" not in code:
        return ConfigurationError(
            f"Secrets Manager gives no password ({code}): check {_VARIABLE}, and that the role may "
            "secretsmanager:GetSecretValue, and kms:Decrypt where the secret has a key of its own"
        )
    return Unavailable(f"Secrets Manager gave no password ({code or status}): try again")


def _password_in(text: str | None) -> str:
    try:
        password = json.loads(text or "")["password"]
    except (ValueError, TypeError, KeyError):
        password = None
    if not isinstance(password, str) or not password:
        raise ConfigurationError(f'the secret that {_VARIABLE} names is no JSON object with a "password"')
    return password
