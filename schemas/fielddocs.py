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
        "nodeName": "The one node that it may run on.",
        "estimatedDuration": "How long it is expected to run; for the scheduler.",
        "drainDelay": "Wait so long before the stop signal, while load balancers forget its address.",
        "containers": "The containers, which run together on one node. All share a network.",
        "initContainers": "Run before the others, one by one; with restartPolicy Always they stay, as sidecars.",
        "volumes": "Folders that containers can mount.",
        "restartPolicy": "When a container that ended is started again, on the same node.",
        "restartBackoff": "How long to wait before a container is started again.",
        "grace": "Time between the stop signal and the kill.",
        "nodeSelector": "Labels that a node must have to be chosen.",
        "tolerations": "Taints of nodes that the task puts up with.",
        "affinity": "Which nodes it asks for or prefers, and near or away from which tasks.",
        "topologySpread": "How evenly tasks are spread over nodes, zones or other labels of nodes.",
        "maxPerNode": "At most so many tasks of the same owner, else with the same labels, on a node.",
        "distinct": "At most so many tasks of the same owner at each value of a label of nodes.",
        "gang": "All or nothing: no task starts before enough of them have a place.",
        "placement": "How its node is chosen; optimal: together with all that wait. Default: that of its queue.",
        "rebalance": "Whether it may be moved only to make better use of the nodes.",
        "preemptionPolicy": "Never: it waits, and makes no other task leave. Default: that of its priority class.",
        "priority": "Higher goes first; default: that of its priority class, else 0. A namespace has a ceiling.",
        "priorityClassName": "Name of a PriorityClass, whose value is the priority.",
        "queue": "Queue that pays for the task; default: the defaultQueue of its namespace.",
        "unreachable": "What happens when the node can't be reached.",
        "exactlyOne": "Never run two copies, even at the price of none while a node can't be reached.",
        "imagePullSecrets": "Secrets with credentials for the registries of its images.",
    },
    "Container": {
        "restartPolicy": "Always, for an init container only: it is a sidecar, which starts first and stops last.",
        "lifecycle": "What runs just after its start and before its stop.",
        "readinessProbe": "While it fails the task is not ready: no rollout counts it, no list of addresses has it.",
        "livenessProbe": "If it fails the container is started again.",
        "startupProbe": "Until it succeeds the other probes wait; if it fails the container is started again.",
        "envFrom": "All keys of ConfigMaps and Secrets as variables.",
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
    "EnvVar": {
        "valueFrom": "Take the value from a ConfigMap or a Secret.",
        "name": "Name of the variable.",
        "value": "Its value; nothing is expanded.",
    },
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
        "secret": "The keys of a Secret as files in memory.",
        "configMap": "The keys of a ConfigMap as files.",
        "endpoints": "The ready addresses of a deployment as files that follow every change.",
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
    "Affinity": {
        "nodeAffinity": "Demands on labels of nodes.",
        "taskAffinity": "Tasks that it is to be near to.",
        "taskAntiAffinity": "Tasks that it is to be away from; they are kept away from it as well.",
    },
    "NodeAffinity": {
        "required": "One of these must hold.",
        "preferred": "What makes a node better, by weight.",
    },
    "NodeTerm": {
        "matchExpressions": "All of these must hold.",
    },
    "PreferredNodeTerm": {
        "weight": "How much better, 1 to 100.",
        "matchExpressions": "All of these must hold.",
    },
    "NodeExpression": {
        "key": "Key of a label of nodes; berth/node is the name of the node.",
        "operator": "In, NotIn: one of the values; Exists, DoesNotExist: the key; Gt, Lt: above or below a number.",
        "values": "Values for In and NotIn; one number in quotes for Gt and Lt.",
    },
    "TaskAffinity": {
        "required": "All of these must hold.",
        "preferred": "What makes a node better (or worse, to keep away), by weight.",
    },
    "TaskTerm": {
        "labelSelector": "Which tasks of the namespace; default: those of the same owner, else with the same labels.",
        "topologyKey": "Label of nodes whose equal values are near, such as zone; berth/node is the node itself.",
    },
    "PreferredTaskTerm": {
        "weight": "How much better (or worse), 1 to 100.",
        "labelSelector": "Which tasks of the namespace; default: those of the same owner, else with the same labels.",
        "topologyKey": "Label of nodes whose equal values are near, such as zone; berth/node is the node itself.",
    },
    "TopologySpread": {
        "topologyKey": "Label of nodes whose values are the places to spread over; berth/node is the node itself.",
        "maxSkew": "The numbers of tasks in the places differ by no more than this.",
        "whenUnsatisfiable": "DoNotSchedule makes the task wait, ScheduleAnyway only prefers.",
        "labelSelector": "Which tasks are counted; default: those of the same owner, else those with the same labels.",
    },
    "Distinct": {
        "label": "Key of a label of nodes; nodes without it are out.",
        "most": "So many tasks at each of its values.",
    },
    "Gang": {
        "name": "Tasks of a namespace with the same name are one gang; default: the owner's tasks.",
        "minMember": "So many start together; those that run or have succeeded count. More may start with them.",
        "timeout": "How long places are held while the node of one of them is silent; then all give theirs back.",
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
        "guarantee": "What the queue gets at least; what it leaves unused is lent, and taken back when it is needed.",
        "limit": "What the queue gets at most.",
        "ordering": "Among equal priorities: fcfs, first come first served, or sjf, the shortest estimate first.",
        "backfill": "Who passes a task that does not fit: none; easy: who won't delay it; conservative: delays none.",
        "maxWait": "Who has waited so long goes before all who have not, whatever their priority.",
        "placement": "How nodes are chosen for tasks that don't say: fill them, spread out, keep evenly used.",
        "namespaces": 'Whose tasks may be in it; "*" allows all. The namespace must allow the queue, too.',
    },
    "PriorityClassSpec": {
        "value": "The priority of tasks that name this class.",
        "preemptionPolicy": "Never: tasks of the class wait, and make no other task leave.",
        "description": "What it is for.",
    },
    "GitSourceSpec": {
        "url": "Repository: https://, http://, ssh://, USER@HOST:PATH or file:///; without credentials.",
        "branch": "Branch to follow; default, without tag: the repository's main one.",
        "tag": "Tag to follow.",
        "commit": "Stay at this commit, as written by berth sync rollback; whole id.",
        "path": "Folder of the repository with the manifests, and folders below it; default: all.",
        "vars": "File with values for ${NAME} in manifests: its path from the top of the repository.",
        "interval": "How often the repository is asked, and objects are compared; at least 5s.",
        "prune": "Delete objects of the source that are not in the repository any more.",
        "selfHeal": "Put right what others changed; otherwise it is only told.",
        "suspend": "Leave everything as it is.",
        "allowEmpty": "Let a commit prune every object of the source.",
        "credentials": "Secret with username and password, token, or ssh-privatekey and known_hosts.",
        "namespaces": 'Where it may write; "*" is everywhere. Objects without namespace go into the first.',
        "kinds": "What it may write; default: all kinds that have a namespace. Others have to be named.",
        "webhook": "Lets the server of the repository say that there is news.",
    },
    "SecretPlace": {"namespace": "Namespace of the Secret.", "name": "Name of the Secret."},
    "SecretKeyPlace": {
        "namespace": "Namespace of the Secret.",
        "name": "Name of the Secret.",
        "key": "Key of the Secret.",
    },
    "Webhook": {"secret": "Key of a Secret that the caller proves to know."},
    "NodeSpec": {
        "drain": "A drain that goes on; written by berth drain.",
        "taints": "What keeps tasks off the node that do not tolerate it.",
        "unschedulable": "Cordoned: what runs stays, nothing new comes.",
        "reserved": "What is kept for the host itself.",
    },
    "Taint": {
        "key": "Key of the taint.",
        "value": "Its value.",
        "effect": "NoSchedule keeps tasks off, PreferNoSchedule only if there is room elsewhere.",
    },
    "DisruptionBudgetSpec": {
        "selector": "Which tasks of the namespace it is about, by their labels; an empty one means all.",
        "minAvailable": "How many must stay available: a number, or a share such as 50%.",
        "maxUnavailable": "How many may be unavailable: a number, or a share such as 25%.",
    },
    "LabelSelector": {
        "matchLabels": "Labels that must have these values.",
        "matchExpressions": "Further terms; all must hold.",
    },
    "LabelExpression": {
        "key": "Key of the label.",
        "operator": "In and NotIn compare with values; Exists and DoesNotExist look for the key.",
        "values": "Values for In and NotIn.",
    },
    "ConfigMapVolume": {
        "name": "Name of a ConfigMap of the same namespace.",
        "items": "Only these keys, as these files; default: all keys.",
        "defaultMode": "Rights of the files; in YAML write 0o644 or its decimal number.",
        "optional": "The task also starts without it.",
    },
    "SecretVolume": {
        "secretName": "Name of a Secret of the same namespace.",
        "items": "Only these keys, as these files; default: all keys.",
        "defaultMode": "Rights of the files; in YAML write 0o400 or its decimal number.",
        "optional": "The task also starts without it.",
    },
    "EndpointsVolume": {
        "deployment": "Name of a Deployment of the same namespace; it may come later.",
        "port": "Name of the port for the file addresses; default: the first port.",
    },
    "KeyToPath": {
        "key": "Key of the ConfigMap or Secret.",
        "path": "File below the mount, a relative path.",
        "mode": "Rights of this file; default: the defaultMode.",
    },
    "EnvFrom": {
        "prefix": "Put before each name.",
        "configMapRef": "The ConfigMap whose keys become variables.",
        "secretRef": "The Secret whose keys become variables.",
    },
    "EnvSource": {
        "configMapKeyRef": "A key of a ConfigMap.",
        "secretKeyRef": "A key of a Secret.",
    },
    "KeyRef": {
        "name": "Name of the ConfigMap or Secret.",
        "key": "Which of its keys.",
        "optional": "The variable is left out when the key is missing, and the task starts.",
    },
    "SourceRef": {
        "name": "Name of the ConfigMap or Secret.",
        "optional": "The task also starts without it.",
    },
    "Probe": {
        "exec": "Run a command in the container; exit code 0 is success.",
        "httpGet": "Ask over HTTP; a status of 200 to 399 is success.",
        "tcpSocket": "Open a TCP connection.",
        "initialDelaySeconds": "Wait so long after the start.",
        "periodSeconds": "Ask so often.",
        "timeoutSeconds": "No answer in this time is a failure.",
        "successThreshold": "So many successes in a row are good.",
        "failureThreshold": "So many failures in a row are bad.",
    },
    "Lifecycle": {
        "postStart": "Runs just after the container has started.",
        "preStop": "Runs before the stop signal, within the grace.",
    },
    "Hook": {
        "exec": "Run a command in the container.",
        "httpGet": "Ask over HTTP.",
        "sleep": "Wait.",
    },
    "ExecAction": {
        "command": "The command and its arguments; no shell is involved.",
    },
    "HttpGetAction": {
        "path": "Path to ask for.",
        "port": "Port of the container, by number or name.",
        "scheme": "HTTP or HTTPS; certificates are not checked.",
        "httpHeaders": "Headers to send.",
    },
    "HttpHeader": {
        "name": "Name of the header.",
        "value": "Its value.",
    },
    "TcpSocketAction": {
        "port": "Port of the container, by number or name.",
    },
    "SleepAction": {
        "seconds": "How long.",
    },
    "TaskTemplate": {
        "metadata": "Labels and annotations of the tasks.",
        "spec": "What the tasks are to be; see: berth explain task.spec.",
    },
    "TemplateMeta": {
        "labels": "Labels of what is made.",
        "annotations": "Annotations of what is made.",
    },
    "DeploymentSpec": {
        "replicas": "How many tasks are to run.",
        "selector": "Labels that the template must have. Tasks know their owner without it.",
        "template": "What its tasks are made from; a change of it rolls out.",
        "strategy": "How old tasks are replaced by new ones.",
        "minReadySeconds": "A task counts as available when it was ready for so long.",
        "progressDeadlineSeconds": "A rollout that does not come forward for so long has failed.",
        "revisionHistoryLimit": "So many old templates are kept for rollout undo.",
        "paused": "Changes of the template wait; see berth rollout resume.",
        "autoRollback": "Go back to the last good revision when the deadline passes.",
    },
    "DeploymentStrategy": {
        "type": "RollingUpdate replaces tasks some at a time, Recreate stops all first.",
        "rollingUpdate": "How many at a time.",
    },
    "RollingUpdate": {
        "maxUnavailable": "So many may be missing meanwhile: a number or a share.",
        "maxSurge": "So many may be there beside the wanted ones: a number or a share.",
    },
    "DaemonSetSpec": {
        "selector": "Labels that the template must have. Tasks know their owner without it.",
        "template": "What its tasks are made from; one runs on each fitting node.",
        "updateStrategy": "How old tasks are replaced by new ones.",
        "minReadySeconds": "A task counts as available when it was ready for so long.",
        "revisionHistoryLimit": "So many old templates are kept for rollout undo.",
    },
    "DaemonSetStrategy": {
        "type": "RollingUpdate replaces tasks some at a time; with OnDelete you delete them.",
        "rollingUpdate": "How many at a time.",
    },
    "DaemonSetRollingUpdate": {
        "maxUnavailable": "On so many nodes the task may be missing meanwhile: a number or a share.",
    },
    "JobSpec": {
        "completions": "So many tasks must end well.",
        "parallelism": "So many run at the same time.",
        "completionMode": "Indexed gives each task a number of its own, in JOB_COMPLETION_INDEX.",
        "backoffLimit": "With more failures than this the job has failed.",
        "activeDeadlineSeconds": "The job fails when it takes longer.",
        "ttlSecondsAfterFinished": "It is removed so long after its end; default: never.",
        "suspend": "Stop its tasks, and start none.",
        "failurePolicy": "What failures mean, by exit code and cause.",
        "gang": "Its tasks start together, as many as run at a time, or not at all.",
        "estimatedDuration": "How long a task is expected to run; for the scheduler.",
        "template": "What its tasks are made from; it can't be changed.",
    },
    "FailurePolicy": {
        "rules": "The first that fits a failed task counts.",
    },
    "FailureRule": {
        "action": "FailJob ends the job, Ignore tries again, Count counts it.",
        "onExitCodes": "Fits these exit codes.",
        "onOOMKilled": "Fits a container that was ended for its memory (true), or was not (false).",
    },
    "OnExitCodes": {
        "containerName": "Of this container; default: of any.",
        "operator": "In or NotIn.",
        "values": "Exit codes from 1 to 255.",
    },
    "CronJobSpec": {
        "schedule": "Minute, hour, day, month, weekday; or @hourly, @daily, @weekly, @monthly, @yearly.",
        "timeZone": "Such as Europe/Berlin; default: UTC.",
        "concurrencyPolicy": "If the run before still goes: Allow both, Forbid the new one, Replace the old one.",
        "startingDeadlineSeconds": "A run that is later than this is left out.",
        "catchUp": "After runs were missed: runOnce makes up for the newest, skip for none.",
        "suspend": "Start no runs.",
        "successfulJobsHistoryLimit": "So many jobs that ended well are kept.",
        "failedJobsHistoryLimit": "So many jobs that failed are kept.",
        "jobTemplate": "What its jobs are made from.",
    },
    "JobTemplate": {
        "metadata": "Labels and annotations of the jobs.",
        "spec": "What the jobs are to be; see: berth explain job.spec.",
    },
    "Drain": {
        "requestedAt": "When the drain was asked for.",
        "timeout": "How long budgets are waited for.",
        "force": "Past the timeout, go on without regard to budgets.",
        "ignoreDaemonsets": "Leave the tasks of DaemonSets where they are.",
    },
    "SecretRef": {"name": "Name of a Secret of the same namespace."},
}

_WITHOUT_SPEC = ("Secret", "ConfigMap")
_OTHERS = (
    "Namespace",
    "Queue",
    "PriorityClass",
    "Node",
    "Deployment",
    "DaemonSet",
    "Job",
    "CronJob",
    "DisruptionBudget",
    "GitSource",
)
for _kind in (*_OTHERS, *_WITHOUT_SPEC):
    FIELD_DOCS[_kind] = {
        key: text for key, text in FIELD_DOCS["Task"].items() if key != "spec" or _kind not in _WITHOUT_SPEC
    }
FIELD_DOCS["ConfigMap"] |= {"data": "Key -> text.", "binaryData": "Key -> bytes in base64."}
