"""What holds for all tests."""

import signal


def pytest_configure() -> None:
    """Let Ctrl-C reach the commands under test: a shell that runs us in its background has it ignored by all."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
