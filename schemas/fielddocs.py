"""What each field means, in a sentence: the one source of `berth explain`, the JSON Schemas and the reference.

Kept beside the models and not in them, because only those three read it, and `berth get` must start fast. A
field that carries a description of its own keeps it. A test sees that no field is without, and that no name
here is stale. Pure.
"""

_NAME = "Name, unique within its kind (and namespace)."

FIELD_DOCS: dict[str, dict[str, str]] = {
    "ObjectMeta": {
        "name": _NAME,
        "namespace": "Namespace of the object; default: that of the command (-n).",
        "labels": "Key -> value, to select objects by (-l).",
        "annotations": "Key -> text of any form, for tools and people.",
    },
    "Task": {
        "apiVersion": "Version of the form: berth/v1.",
        "kind": "Which kind of object it is.",
        "metadata": "Who the object is.",
        "spec": "What is wanted.",
    },
    "TaskSpec": {
        "containers": "The containers, which run together on one node. This version runs exactly one.",
        "initContainers": "Containers that run before the others, one by one. Not supported yet.",
        "volumes": "Folders that containers can mount.",
        "restartPolicy": "When a container that ended is started again, on the same node.",
        "restartBackoff": "How long to wait before a container is started again.",
        "grace": "Time between the stop signal and the kill.",
        "nodeSelector": "Labels that a node must have to be chosen.",
        "tolerations": "Taints of nodes that the task puts up with.",
        "priority": "Higher goes first; default: that of its priority class, else 0. A namespace has a ceiling.",
        "priorityClassName": "Name of a PriorityClass, whose value is the priority.",
        "queue": "Queue that pays for the task; default: the defaultQueue of its namespace.",
        "unreachable": "What happens when the node can't be reached.",
        "exactlyOne": "Never run two copies, even at the price of none while a node can't be reached.",
        "imagePullSecrets": "Secrets with credentials for the registries of its images.",
    },
    "Container": {
        "name": "Name of the container, unique in the task.",
        "image": "Image to run, such as registry.example/web:1.4.",
        "command": "What to run instead of the image's entry point; no shell is involved.",
        "args": "Arguments; without a command they go to the image's entry point.",
        "env": "Environment variables.",
        "workingDir": "Folder in which the command starts; default: the image's.",
        "user": "User (and group) to run as: a name or number, as 1000 or 1000:1000; default: the image's.",
        "ports": "Ports that are published on the node.",
        "resources": "What the container needs, and what it may use at most.",
        "volumeMounts": "Where volumes of the task appear in the container.",
        "imagePullPolicy": "When to pull the image; default: Always for the tag latest or none, else IfNotPresent.",
        "stopSignal": "Signal that asks it to stop; default: the image's, else SIGTERM.",
        "privileged": "Give it all rights of the host; the namespace must allow that.",
        "pidsLimit": "How many processes and threads it may have.",
        "stdin": "Keep its input open, for attach -i.",
        "tty": "Give it a terminal; stdout and stderr become one.",
    },
    "EnvVar": {"name": "Name of the variable.", "value": "Its value; nothing is expanded."},
    "ContainerPort": {
        "containerPort": "Port on which the container listens.",
        "hostPort": "Port of the node; default: a free one is allotted.",
        "name": "Name of the port, for port-forward.",
        "protocol": "TCP or UDP.",
    },
    "ResourceRequirements": {
        "requests": "What is set aside on the node (cpu, memory, ...); default: the limits, else the namespace's.",
        "limits": "What the container may use at most; more memory ends it, more cpu slows it down.",
    },
    "VolumeMount": {
        "name": "Name of a volume of the task.",
        "mountPath": "Absolute path in the container.",
        "readOnly": "The container may not write there.",
    },
    "Volume": {
        "name": "Name that volumeMounts refer to.",
        "emptyDir": "An empty folder that lives as long as the task is on its node.",
        "hostPath": "A folder or file of the node; the namespace must allow it.",
    },
    "EmptyDir": {
        "medium": "Memory for a folder in memory; default: the node's disk.",
        "sizeLimit": "How large it may grow.",
    },
    "HostPath": {
        "path": "Absolute path on the node.",
        "type": "What must be there; DirectoryOrCreate makes it. Default: nothing is checked.",
    },
    "Toleration": {
        "key": "Key of the taint; empty with Exists: every taint.",
        "operator": "Equal compares the value, Exists does not.",
        "value": "Value of the taint.",
        "effect": "Effect of the taint; empty: all effects.",
    },
    "RestartBackoff": {
        "initial": "Wait before the first restart.",
        "factor": "Each further wait is so many times longer.",
        "max": "The longest wait.",
        "resetAfter": "After so long without a failure, waiting starts afresh.",
    },
    "Unreachable": {
        "rescheduleAfter": "When to start it elsewhere; default 30s, with exactlyOne 60s.",
        "stopAfter": "When a cut off node stops it by itself; default never, with exactlyOne 20s.",
    },
    "NamespaceSpec": {
        "queues": 'Queues that its tasks may use; "*" allows all.',
        "defaultQueue": "Queue of tasks that name none.",
        "maxPriority": "The highest priority that its tasks may have.",
        "hostPaths": "Folders of the nodes below which its tasks may mount.",
        "privileged": "Its tasks may run privileged containers.",
        "taskDefaults": "Requests and limits of containers that name none.",
    },
    "TaskDefaults": {
        "requests": "Used where a container has neither requests nor limits of its own.",
        "limits": "Used where a container has no limits.",
    },
    "QueueSpec": {
        "weight": "Share of the cluster in proportion to other queues.",
        "guarantee": "What the queue gets at least.",
        "limit": "What the queue gets at most.",
    },
    "PriorityClassSpec": {
        "value": "The priority of tasks that name this class.",
        "description": "What it is for.",
    },
    "NodeSpec": {
        "taints": "What keeps tasks off the node that do not tolerate it.",
        "unschedulable": "Cordoned: what runs stays, nothing new comes.",
        "reserved": "What is kept for the host itself.",
    },
    "Taint": {
        "key": "Key of the taint.",
        "value": "Its value.",
        "effect": "NoSchedule keeps tasks off, PreferNoSchedule only if there is room elsewhere.",
    },
    "SecretRef": {"name": "Name of a Secret of the same namespace."},
}

for _kind in ("Namespace", "Queue", "PriorityClass", "Node", "Secret"):
    FIELD_DOCS[_kind] = {
        key: text for key, text in FIELD_DOCS["Task"].items() if key != "spec" or _kind != "Secret"
    }
