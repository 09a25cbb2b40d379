"""How much one plan may write: it is one transaction, and etcd takes 1.5 MiB. What doesn't fit is left for the next.

What counts is what grows with people's objects: bindings that are told to stop and specs that are let go are written
as a whole, kept templates and lists of addresses, too. Pure.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from controller.reconcilers.owner_inputs import MAX_OWNED_A_PLAN, OwnedJob, OwnedTask, OwnerInputs
from controller.reconcilers.plan import RemoveOwned

MAX_PLAN_BYTES = (
    1_200_000  # of the 1,415,577 of one transaction; the rest is for status, keys and comparisons
)


def removals_that_fit(removals: Sequence[RemoveOwned], *, beside_bytes: int = 0, least: int = 1) -> int:
    """Return how many of these, in this order, go into one plan. beside_bytes: what else it writes.

    least: so many go in any case; 0 only where what is beside them is not there the next time.
    """
    return _that_fit(map(_stop_bytes, removals), MAX_OWNED_A_PLAN, beside_bytes, least)


def orphans_that_fit(made: Sequence[OwnedTask | OwnedJob], most: int) -> int:
    """Return how many of these can be let go in one plan: each becomes an object of its own."""
    return _that_fit(map(_spec_bytes, made), most, 0, 1)


def list_bytes(inputs: OwnerInputs[Any, Any]) -> int:
    """Return what the list of addresses takes, which is written anew when one of them goes."""
    return len(inputs.endpoints.value.to_bytes()) if inputs.endpoints is not None else 0


def template_bytes(inputs: OwnerInputs[Any, Any]) -> int:
    """Return what keeping the template takes, and a little more."""
    return len(inputs.spec.value.to_bytes()) if inputs.spec is not None else 0


def _that_fit(sizes: Iterable[int], most: int, beside_bytes: int, least: int) -> int:
    left, count = MAX_PLAN_BYTES - beside_bytes, 0
    for size_bytes in islice(sizes, most):
        left -= size_bytes
        if left < 0 and count >= least:
            break
        count += 1
    return count


def _stop_bytes(removal: RemoveOwned) -> int:
    """A binding that is to stop carries no copies any more."""
    if removal.stop is None:
        return 0
    without: dict[str, object] = {"sealed": {}, "config": {}, "discovery": {}}
    return len(removal.stop.binding.value.model_copy(update=without).to_bytes())


def _spec_bytes(made: OwnedTask | OwnedJob) -> int:
    spec = made.task if isinstance(made, OwnedTask) else made.job
    return len(spec.to_bytes()) if spec is not None else 0
