"""What each kind is for, in a sentence or two: for `berth explain`, the JSON Schemas and the reference. Pure.

A test sees that no kind is without.
"""

KIND_DOCS: dict[str, str] = {
    "Namespace": "Who may do what: which queues, priorities and folders its tasks may use, and their defaults.",
    "Queue": "Whom resources are for: every task is in one, and queues share the cluster by weight, with what each is "
    "guaranteed and what it may have at most.",
    "PriorityClass": "A priority with a name, for tasks to name.",
    "Node": "A host with an agent, or one to come: its labels, its taints, and whether new tasks may go there.",
    "Secret": "Values that only the nodes read whose tasks name them.",
    "ConfigMap": "Settings for containers, as environment variables or as files.",
    "DisruptionBudget": "How many tasks of a group may be away at a time when nodes are drained or tasks evicted.",
    "Task": "The smallest thing that is scheduled: one or more containers that run together on one node.",
    "Deployment": "Keeps a number of equal tasks running, and changes them a few at a time without a gap.",
    "DaemonSet": "Keeps one task on each node, or on each that is selected.",
    "Job": "Runs tasks until enough of them have succeeded.",
    "CronJob": "Makes a job again and again, by a schedule.",
    "GitSource": "A folder of a git repository that the leader keeps a part of the cluster like.",
}
