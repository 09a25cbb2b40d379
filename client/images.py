"""Setting the images of containers, by name, in whatever kind has containers. Pure."""

from collections.abc import Callable, Mapping

from client.errors import BadOption, NotFound
from client.ownership import template_path
from schemas.keys import ObjectRef
from schemas.kinds import BY_PLURAL
from store import codec
from store.codec import Json

EVERY = "*"  # no container is called so


def parse_images(words: list[str]) -> dict[str, str]:
    """Return container -> image of `CONTAINER=IMAGE` words. Raises BadOption."""
    found: dict[str, str] = {}
    for word in words:
        name, _, image = word.partition("=")
        if not name or not image or any(char.isspace() for char in image):
            raise BadOption(f"{word!r} is not of the form CONTAINER=IMAGE, such as main=web:2")
        found[name] = image
    return found


def with_images(ref: ObjectRef, images: Mapping[str, str]) -> Callable[[Json], Json]:
    """Return the change that sets images. It raises NotFound for a container that is not there, BadOption."""
    template = template_path(BY_PLURAL[ref.plural].name)
    path = ("spec",) if ref.plural == "tasks" else (*template, "spec") if template else None
    if path is None:
        raise BadOption(f"{ref} has no containers; see: berth explain {ref.plural}")

    def change(raw: Json) -> Json:
        spec: Json = raw
        for part in path:
            spec = spec[part]
        fields = [each for each in ("initContainers", "containers") if spec.get(each)]
        names = [each["name"] for field in fields for each in spec[field]]
        for name in images:
            if name != EVERY and name not in names:
                raise NotFound(f'{ref} has no container "{name}"; it has: {", ".join(names)}')
        return codec.patch(
            raw, {(*path, field): [_set(each, images) for each in spec[field]] for field in fields}
        )

    return change


def _set(container: Json, images: Mapping[str, str]) -> Json:
    image = images.get(container["name"]) or images.get(EVERY)
    return {**container, "image": image} if image else container
