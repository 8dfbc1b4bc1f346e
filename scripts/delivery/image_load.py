"""A steady rate of requests, on connections that stay open.

Requests are sent at times that were fixed before, and their latency counts from those times: a service that
stalls makes all that wait for it late, as it would for real clients, who do not wait for each other.
"""

import statistics
import threading
import time

CONNECTIONS = 20


class Load:
    """So many requests a second for so many seconds; over when it is made."""

    def __init__(self, client, rate, seconds, path, token=None):
        self.client, self.rate, self.count = client, rate, rate * seconds
        self.path = path
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        self.request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}\r\n".encode()
        self.latencies, self.failures = [], []
        self.begins = time.monotonic() + 0.1
        senders = [threading.Thread(target=self._send, args=(first,)) for first in range(CONNECTIONS)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        self.seconds = time.monotonic() - self.begins

    def _send(self, first):
        try:
            connection = self.client.connect().sock
            for number in range(first, self.count, CONNECTIONS):
                due = self.begins + number / self.rate
                time.sleep(max(0.0, due - time.monotonic()))
                connection.sendall(self.request)
                head = answer_of(connection)
                self.latencies.append(time.monotonic() - due)
                if not head.startswith(b"HTTP/1.1 200 "):
                    self.failures.append(head.split(b"\r\n")[0].decode())
            connection.close()
        except (OSError, ValueError) as error:
            self.failures.append(repr(error))

    def sent_each_second(self):
        return len(self.latencies) / self.seconds

    def __str__(self):
        cuts = statistics.quantiles(self.latencies, n=100)
        shown = f"p50 {cuts[49] * 1000:.2f} ms, p99 {cuts[98] * 1000:.2f} ms"
        return f"{self.sent_each_second():.0f} requests/s of GET {self.path}, {shown}"


def answer_of(connection):
    """The head of an answer, read to its end. http.client would take more of the machine than the service."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += received(connection)
    head, _, body = read.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += received(connection)
    return head


def received(connection):
    part = connection.recv(65536)
    if not part:
        raise ConnectionError("closed by the service")
    return part
