"""The server process: gRPC for clients, HTTP for health checks."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.catalogue import Catalogue
from local.qdrant.collections_api import CollectionsApi
from local.qdrant.errors import unimplemented_by_default
from local.qdrant.points_api import PointsApi

HOST = "127.0.0.1"
VERSION = "1.20.0"
"""The protocol's version, which clients compare with their own."""

_LARGEST_MESSAGE = 64 * 1024 * 1024
_GRACE_SECONDS = 5.0
_WORKERS = 4


class Server:
    """Qdrant on two ports of 127.0.0.1. Raises OSError if a port or the folder is in use."""

    def __init__(self, data: Path, grpc_port: int, http_port: int) -> None:
        self._http = ThreadingHTTPServer((HOST, http_port), _Probes)
        self._catalogue = Catalogue(data)
        self._grpc = grpc.server(
            ThreadPoolExecutor(_WORKERS, thread_name_prefix="grpc"),
            options=[
                ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
                ("grpc.max_send_message_length", _LARGEST_MESSAGE),
                ("grpc.so_reuseport", 0),  # otherwise a second server would share the port
            ],
        )
        pb.add_CollectionsServicer_to_server(CollectionsApi(self._catalogue), self._grpc)
        pb.add_PointsServicer_to_server(PointsApi(self._catalogue), self._grpc)
        pb.add_SnapshotsServicer_to_server(_Snapshots(), self._grpc)
        pb.add_QdrantServicer_to_server(_Health(), self._grpc)
        try:
            self._grpc.add_insecure_port(f"{HOST}:{grpc_port}")
        except RuntimeError as error:
            self._catalogue.close()
            self._http.server_close()
            raise OSError(f"Port {grpc_port} is in use.") from error

    def start(self) -> None:
        self._grpc.start()
        threading.Thread(target=self._http.serve_forever, name="http", daemon=True).start()

    def stop(self) -> None:
        """Wait at most 5 s for running requests, then flush and close everything."""
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(_GRACE_SECONDS).wait()
        self._catalogue.close()


@unimplemented_by_default
class _Snapshots(pb.SnapshotsServicer):  # type: ignore[misc]  # generated code has no types
    """Not supported by the engine. Stop the server and copy its folder instead."""


class _Health(pb.QdrantServicer):  # type: ignore[misc]  # generated code has no types
    def HealthCheck(self, _request: pb.HealthCheckRequest, _context: grpc.ServicerContext) -> pb.HealthCheckReply:
        return pb.HealthCheckReply(title="qdrant - vector search engine", version=VERSION)


class _Probes(BaseHTTPRequestHandler):
    """``/healthz``, ``/readyz``, ``/livez``, and the version at ``/``. There is no REST API."""

    def do_GET(self) -> None:
        if self.path == "/":
            body = json.dumps({"title": "qdrant - vector search engine", "version": VERSION, "commit": None})
            self._respond(HTTPStatus.OK, "application/json", body)
        elif self.path in {"/healthz", "/livez", "/readyz"}:
            text = "all shards are ready" if self.path == "/readyz" else f"{self.path[1:]} check passed"
            self._respond(HTTPStatus.OK, "text/plain", text)
        else:
            self._respond(HTTPStatus.NOT_FOUND, "text/plain", "The local Qdrant supports only gRPC")

    def log_message(self, *_: object) -> None:
        """Log nothing, because probes arrive every few seconds."""

    def _respond(self, status: HTTPStatus, kind: str, body: str) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
