"""What workloads of the simulation are made of: several containers, probes, and what they take of ConfigMaps."""

import random
from typing import Any

Json = dict[str, Any]  # Any: JSON of any shape

UNREADY = "hollow/unready"  # runs, and its readiness probe never passes
SETTINGS, TOKEN = "settings", "token"  # the ConfigMap and the Secret that templates name
CONFIG_KEYS = ("color", "size")
NEVER = "never"  # a key that nobody ever says: who wants it waits
SECRET_KEYS = ("word", "seed")
BUDGETED = {"web": "guard-web", "api": "guard-api"}  # deployment -> its budget


def template(image: str, **spec: Any) -> Json:
    """Return a template of one plain container."""
    resources = {"requests": {"cpu": "100m", "memory": "16Mi"}}
    container = {"name": "main", "image": image, "resources": resources, "ports": [{"containerPort": 80}]}
    return {"spec": {"containers": [container], "grace": "3s", **spec}}


def labelled(plain: Json, app: str) -> Json:
    """Return the template with the label that budgets know it by."""
    return {"metadata": {"labels": {"app": app}}, **plain}


def varied(rng: random.Random, plain: Json, app: str) -> Json:
    """Return the template with some of all that a task may have besides."""
    main = dict(plain["spec"]["containers"][0])
    spec = dict(plain["spec"])
    if rng.random() < 0.5:
        main |= probes(rng)
        if rng.random() < 0.15:
            main["image"] = UNREADY
    if rng.random() < 0.35:
        main["env"] = variables(rng)
    if rng.random() < 0.35:
        spec |= {"initContainers": helpers(rng), "grace": "8s"}
    spec["containers"] = [main]
    return labelled({"spec": spec}, app)


def probes(rng: random.Random) -> Json:
    """Return a readiness probe, and perhaps the other two."""
    ask = {"tcpSocket": {"port": 80}, "periodSeconds": 2, "failureThreshold": 2}
    found = {"readinessProbe": {**ask, "successThreshold": rng.choice([1, 2])}}
    if rng.random() < 0.3:
        found["livenessProbe"] = {**ask, "failureThreshold": 3}
    if rng.random() < 0.3:
        found["startupProbe"] = {**ask, "periodSeconds": 1, "failureThreshold": 10}
    return found


def variables(rng: random.Random) -> list[Json]:
    """Return variables from keys that may be missing."""
    of_config = {
        "configMapKeyRef": {"name": SETTINGS, "key": rng.choice([*CONFIG_KEYS, *CONFIG_KEYS, NEVER])}
    }
    of_secret = {"secretKeyRef": {"name": TOKEN, "key": rng.choice(SECRET_KEYS)}}
    chosen = rng.choice([[of_config], [of_secret], [of_config, of_secret]])
    return [{"name": f"V{number}", "valueFrom": source} for number, source in enumerate(chosen)]


def helpers(rng: random.Random) -> list[Json]:
    """Return init containers and sidecars, in the order in which they start."""
    first = {"name": "first", "image": rng.choice(["hollow/exit-0-after-2s", "hollow/exit-0-after-0.5s"])}
    second = {"name": "second", "image": "hollow/exit-0-after-1s"}
    beside = {"name": "beside", "image": "helper", "restartPolicy": "Always"}
    last = {**beside, "name": "last"}
    started = {"startupProbe": {"exec": {"command": ["up"]}, "periodSeconds": 1, "failureThreshold": 10}}
    return rng.choice(
        [[first, second], [beside], [first, {**beside, **started}], [beside, first, last], [beside, last]]
    )
