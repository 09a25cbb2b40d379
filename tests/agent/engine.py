"""A Docker Engine that answers what the test says, whatever it is asked."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = b'{"ApiVersion": "1.41"}'


@contextmanager
def engine(path: Path, *answers: bytes) -> Iterator[list[bytes]]:
    """Answer each connection's one request with the next of `answers`, and end it; yield the requests.

    A connection over which nothing is asked, to see whether somebody listens, takes no answer.
    """
    asked: list[bytes] = []
    is_over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            left = list(answers)
            while left:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    request = connection.recv(65536)
                    if request:
                        asked.append(request)
                        connection.sendall(left.pop(0))
                    elif is_over.is_set():
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            is_over.set()
            with socket.socket(socket.AF_UNIX) as last:  # lets it go on that waits for a call that never came
                last.connect(str(path))
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def reply(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
