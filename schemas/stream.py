"""The frames between a person and a process in a container: a web socket's binary messages."""

from enum import IntEnum


class Channel(IntEnum):
    """First byte of each frame."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    STATUS = 3  # JSON: {"exitCode": n}, {"detached": true} or {"error": text}; the last frame
    RESIZE = 4  # JSON: {"width": columns, "height": rows}
    END_OF_STDIN = 5
