"""What can go wrong with keys and sealed values. No message ever holds a value.

SealingError
├── BadKey      a key that can't be read, or a file of one that others may read
└── CantOpen    a sealed value that this key does not open, or that was sealed for another place
"""


class SealingError(ValueError):
    """Base of all errors of this package."""


class BadKey(SealingError):
    """A key that can't be used; the message says what to do."""


class CantOpen(SealingError):
    """Sealed to another key, damaged, or moved from where it belongs."""
