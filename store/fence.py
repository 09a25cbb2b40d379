"""A fence: the proof, inside each transaction, that its sender still holds what entitles it to write."""

from dataclasses import dataclass

from store.api import Compare, created_at


@dataclass(frozen=True, slots=True)
class Fence:
    """A key that its owner created, and the revision of that creation.

    The key is under the owner's lease (an election key, a heartbeat key). Once it is gone, or was made
    anew by somebody else, the comparison fails and with it the whole transaction.
    """

    key: str
    create_revision: int

    def compare(self) -> Compare:
        """The condition that every write of the owner carries."""
        return created_at(self.key, self.create_revision)
