"""What keeps a gang from running whatever else happens: members that are missing, or more than the cluster has."""

from collections.abc import Sequence

from controller.scheduler.fairness import Amounts, Requests
from controller.scheduler.snapshot import Gang
from schemas.quantity import show_comparison


def lack_of(gang: Gang, members: Sequence[Requests], capacity: Amounts) -> str:
    """Return why enough of the members can never run at once as things are, empty if nothing says so.

    members: what each asks for. capacity: resource -> what all nodes together have.
    """
    if len(members) < gang.least:
        return f"{len(members)} of at least {gang.least} members of gang {gang.name} are there"
    for resource in sorted({name for requests in members for name, _ in requests}):
        amounts = sorted(dict(requests).get(resource, 0) for requests in members)
        least, most = sum(amounts[: gang.least]), capacity.get(resource, 0)
        if least > most:
            asked, there = show_comparison(resource, least, most)
            return (
                f"gang {gang.name} asks for {resource} {asked} at least, and all nodes together have {there}"
            )
    return ""
