"""What stands before an instance in Google's cloud: a TLS server of this machine, and what is known of it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud.alloydb_connectors_v1.proto import resources_pb2 as exchange
from google.cloud.alloydbconnector.connection_info import ConnectionInfo as AlloyInfo
from google.cloud.sql.connector.connection_info import ConnectionInfo as CloudSqlInfo
from google.cloud.sql.connector.connection_name import ConnectionName

__all__ = ["IAM", "Front", "Papers", "fronting", "papers"]


IAM = exchange.MetadataExchangeRequest.AUTO_IAM
"""How a client of AlloyDB's says that it logs in as itself."""


class Papers(NamedTuple):
    """A key, and a certificate for it that signs itself, for this machine."""

    key: rsa.RSAPrivateKey
    certificate: str

    @property
    def key_text(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )


def papers() -> Papers:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "instance")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Papers(key, certificate.public_bytes(serialization.Encoding.PEM).decode())


class Front:
    """Accepts clients by TLS and passes what they say to a PostgreSQL."""

    def __init__(self, target: int, own: Papers, folder: Path, *, exchanges: bool) -> None:
        self._target = target
        self._own = own
        self._exchanges = exchanges
        self.clients = 0
        """How many have come."""
        self.asked: list[Any] = []
        """What AlloyDB's clients said of themselves."""
        (folder / "certificate").write_text(own.certificate)
        (folder / "key").write_bytes(own.key_text)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # A connector's thread may wait for bytes when it has taken a ticket: it would stand still by chance.
        self._context.num_tickets = 0
        self._context.load_cert_chain(folder / "certificate", folder / "key")
        self._context.load_verify_locations(folder / "certificate")
        self._context.verify_mode = ssl.CERT_REQUIRED

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if self._exchanges:
                [size] = struct.unpack(">I", await reader.readexactly(4))
                self.asked.append(exchange.MetadataExchangeRequest.FromString(await reader.readexactly(size)))
                answer = exchange.MetadataExchangeResponse(
                    response_code=exchange.MetadataExchangeResponse.OK
                ).SerializeToString()
                writer.write(struct.pack(">I", len(answer)) + answer)
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(_pass(reader, inner_writer), _pass(inner_reader, writer))

    def known_to_cloud_sql(self, instance: str) -> CloudSqlInfo:
        """What Cloud SQL's API says of the instance, and of the client's own certificate."""
        project, region, name = instance.split(":")
        return CloudSqlInfo(
            ConnectionName(project, region, name),
            self._own.certificate,
            self._own.certificate,
            self._own.key_text,
            {"PRIMARY": ["127.0.0.1"]},
            "POSTGRES_16",
            datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1),
        )

    def known_to_alloydb(self) -> AlloyInfo:
        return AlloyInfo(
            [self._own.certificate],
            self._own.certificate,
            self._own.key,
            {"PRIVATE": "127.0.0.1"},
            datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1),
        )

    @property
    def context(self) -> ssl.SSLContext:
        return self._context


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.contextmanager
def fronting(front: Front) -> Iterator[int]:
    """The port where the front serves, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = await asyncio.start_server(front.serve, sock=listener, ssl=front.context)
        async with server:
            await over.wait()

    over = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
