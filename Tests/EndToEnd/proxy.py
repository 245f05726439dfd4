"""A TCP proxy before the MQTT broker that can hold what a client has sent: what lies in a socket's buffer while its
process sleeps, at a time of the test's choosing."""

import socket
import threading
import time

PING = b"\xc0\x00"


class Proxy:
    """Forwards connections to the broker. While it holds, what clients send is kept; pings keep the connections up."""

    def __init__(self, host, port):
        self.target = (host, port)
        self.lock = threading.Lock()
        self.holding = False
        self.held = []  # (upstream socket, bytes), in the order of their coming
        self.upstreams = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        for body in (self._accept, self._ping):
            threading.Thread(target=body, daemon=True).start()

    def hold(self):
        with self.lock:
            self.holding = True

    def release(self):
        with self.lock:
            self.holding = False
            for upstream, data in self.held:
                try:
                    upstream.sendall(data)
                except OSError:
                    pass  # the broker has closed this one
            self.held.clear()

    def holds(self, *parts):
        with self.lock:
            return any(all(part in data for part in parts) for _, data in self.held)

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(self.target)
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.upstreams.append(upstream)
            threading.Thread(target=self._up, args=(client, upstream), daemon=True).start()
            threading.Thread(target=self._down, args=(client, upstream), daemon=True).start()

    def _up(self, client, upstream):
        while data := self._read(client):
            with self.lock:
                if self.holding:
                    self.held.append((upstream, data))
                    continue
                try:
                    upstream.sendall(data)
                except OSError:
                    return
        if not self.holding:
            upstream.close()

    def _down(self, client, upstream):
        while data := self._read(upstream):
            client.sendall(data)
        client.close()

    @staticmethod
    def _read(source):
        try:
            return source.recv(65536)
        except OSError:
            return b""

    def _ping(self):
        while True:
            time.sleep(2)
            with self.lock:
                for upstream in self.upstreams if self.holding else []:
                    try:
                        upstream.sendall(PING)
                    except OSError:
                        pass
