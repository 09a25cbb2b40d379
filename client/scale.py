"""Scale: how many tasks a deployment has, and nothing else of it."""

from client.change import Changed, change_object
from client.errors import BadOption, Refused
from schemas.keys import Keys, ObjectRef
from store import codec
from store.api import Store
from store.codec import Json

_INSTEAD = {
    "daemonsets": "a DaemonSet has one task on each fitting node; choose nodes with template.spec.nodeSelector",
    "jobs": "say how many tasks of a Job run at once with: berth patch {ref} -p '{{spec: {{parallelism: {n}}}}}'",
}


def scale(store: Store, keys: Keys, ref: ObjectRef, replicas: int, *, current: int | None = None) -> Changed:
    """Set spec.replicas. current: only if it is that now. Raises NotFound, BadOption, Refused, InvalidManifest."""
    if ref.plural != "deployments":
        told = _INSTEAD.get(ref.plural, "only deployments can be scaled; see: berth get deployments")
        raise BadOption(f"{ref} can't be scaled: {told.format(ref=ref, n=replicas)}")

    def change(raw: Json) -> Json:
        found = (raw.get("spec") or {}).get("replicas", 1)
        if current is not None and found != current:
            raise Refused(f"{ref} has {found} replicas and not {current}, so it was not scaled")
        return codec.patch(raw, {("spec", "replicas"): replicas}) if found != replicas else raw

    return change_object(store, keys, ref, change)
