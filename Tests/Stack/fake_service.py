#!/usr/bin/env python3
"""Stands in for every executable of a stack, so that the scripts can be tried without a build.

Linked as martlet-<service> it answers /readyz and tells what it was asked and given; as devkafka it holds a port;
as martlet it notes what it was called with.
"""
import json
import os
import signal
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = os.path.basename(sys.argv[0])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        if self.headers.get("X-Test") == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        length = int(self.headers.get("Content-Length") or 0)
        size = len(self.rfile.read(length)) if self.headers.get("Transfer-Encoding") is None else None
        if self.path == "/api/v1/events":
            return self.events()
        status = 413 if length > 1024 * 1024 else 200
        body = json.dumps({
            "service": NAME, "replica": os.environ.get("MARTLET_REPLICA"), "method": self.command,
            "path": self.path, "size": size, "headers": dict(self.headers.items()),
            "environment": sorted(k for k in os.environ if k.startswith("MARTLET_")),
        }).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def events(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        self.wfile.flush()
        time.sleep(5)
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if NAME == "devkafka":
        listener = socket.create_server(("127.0.0.1", 0))
        with open(sys.argv[sys.argv.index("--port-file") + 1], "w") as file:
            file.write(f"127.0.0.1:{listener.getsockname()[1]}")
        while True:
            time.sleep(60)
    if NAME == "martlet":
        print("martlet", *sys.argv[1:])
        return
    print(f"{NAME} on port {os.environ['MARTLET_HTTP_PORT']}", flush=True)
    Server(("127.0.0.1", int(os.environ["MARTLET_HTTP_PORT"])), Handler).serve_forever()


main()
