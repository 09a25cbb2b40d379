"""What `berth new` writes: a commented manifest for each kind. `$name` and the like are filled in by `cli.new`.

Lines that are commented out are fields that a person may want; each is valid as it stands.
"""

TASK = """\
# A task: one container that Berth keeps running on one node. Every field: berth explain task --recursive
#   run it:       berth apply -f $file --wait
#   look at it:   berth get task $name
apiVersion: berth/v1
kind: Task
metadata:
  name: $name$namespace
  labels: {app: $label}
spec:
$task"""

TASK_SPEC = """\
containers:
  - name: main
    image: $image
    imagePullPolicy: IfNotPresent # Always: ask the registry first; Never: the node must have it
$command
    # workingDir: /tmp
    # user: nobody # a name or number in the image, or uid:gid
    # env:
    #   - {name: MODE, value: example}
    # ports:
    #   - {name: http, containerPort: 8080} # the node allots a host port: berth get tasks -o wide
    resources:
      requests: {cpu: 100m, memory: 64Mi} # kept for it on its node; it may use more if that is free
      limits: {memory: 128Mi} # with more than this it is ended; cpu: 500m slows it down
    # volumeMounts:
    #   - {name: scratch, mountPath: /scratch}
# volumes:
#   - {name: scratch, emptyDir: {sizeLimit: 64Mi}} # gone when the task leaves its node
restartPolicy: $restart
grace: 30s # from the stop signal to the kill
# nodeSelector: {disk: ssd} # labels that its node must have: berth get nodes --show-labels
# queue: default
# priority: 0 # higher ones are placed first
# unreachable: {rescheduleAfter: 30s} # how long its node may be silent before it runs elsewhere
# exactlyOne: true # never two copies, even if that means none for a while
"""

DEPLOYMENT = """\
# A deployment: so many tasks of one template, and a rolling change from one template to the next.
#   run it:       berth apply -f $file --wait
#   look at it:   berth rollout status deployment/$name
apiVersion: berth/v1
kind: Deployment
metadata:
  name: $name$namespace
  labels: {app: $label}
spec:
  replicas: 2
  selector: # which tasks are its own; must be among the labels of the template
    matchLabels: {app: $label}
  strategy:
    type: RollingUpdate # Recreate: all old ones stop before a new one starts
    rollingUpdate:
      maxUnavailable: 25% # so many may be missing while it changes
      maxSurge: 25% # so many may be there beside the wanted ones
  # minReadySeconds: 0 # ready for so long before it counts as available
  # revisionHistoryLimit: 10 # old templates that are kept for an undo
  # progressDeadlineSeconds: 600
  template:
    metadata:
      labels: {app: $label}
    spec:
$task"""

JOB = """\
# A job: tasks that run to their end, so many of them well.
#   run it:       berth apply -f $file --wait
#   look at it:   berth describe job/$name
apiVersion: berth/v1
kind: Job
metadata:
  name: $name$namespace
spec:
  completions: 1 # so many must end well
  parallelism: 1 # so many at the same time
  backoffLimit: 6 # so many may fail before the job counts as failed
  # activeDeadlineSeconds: 3600
  # ttlSecondsAfterFinished: 86400
  template:
    metadata:
      labels: {job: $label}
    spec:
$task"""

CRON_JOB = """\
# A cron job: makes a job at each time of its schedule.
#   look at it:   berth describe cronjob/$name
apiVersion: berth/v1
kind: CronJob
metadata:
  name: $name$namespace
spec:
  schedule: "0 3 * * *" # minute hour day month weekday; or @hourly, @daily, @weekly
  timeZone: UTC # such as Europe/Berlin
  concurrencyPolicy: Forbid # Allow: also beside the run before; Replace: instead of it
  catchUp: runOnce # skip: what was missed stays missed
  # startingDeadlineSeconds: 600 # a run that is later than this is left out
  # suspend: true
  jobTemplate:
    spec:
      backoffLimit: 2 # so many tasks may fail before the job counts as failed
      template:
        metadata:
          labels: {job: $label}
        spec:
$task"""

DAEMON_SET = """\
# A daemonset: one task on each fitting node.
#   run it:       berth apply -f $file --wait
#   look at it:   berth rollout status daemonset/$name
apiVersion: berth/v1
kind: DaemonSet
metadata:
  name: $name$namespace
  labels: {app: $label}
spec:
  updateStrategy:
    type: RollingUpdate # OnDelete: a task is replaced when you delete it
    rollingUpdate: {maxUnavailable: 1} # on so many nodes it may be missing meanwhile
  template:
    metadata:
      labels: {app: $label}
    spec:
$task"""

CONFIG_MAP = """\
# A config map: values in clear, which tasks take as variables (env, envFrom) or as files (volumes).
apiVersion: berth/v1
kind: ConfigMap
metadata:
  name: $name$namespace
data:
  MODE: example
  app.conf: |
    # a whole file
    listen = 8080
"""

BUDGET = """\
# A disruption budget: how many of some tasks must stay available while tasks are moved on purpose.
apiVersion: berth/v1
kind: DisruptionBudget
metadata:
  name: $name$namespace
spec:
  selector:
    matchLabels: {app: $label} # tasks of the same namespace
  minAvailable: 1 # or a share, such as 50%; instead of it: maxUnavailable
"""

NAMESPACE = """\
# A namespace: who may do what. An admin applies it: berth apply -f $file
apiVersion: berth/v1
kind: Namespace
metadata:
  name: $name
spec:
  queues: [default] # queues that its tasks may name; ["*"] for all
  defaultQueue: default # of tasks that name none
  maxPriority: 0 # the highest priority that its tasks may have
  hostPaths: [] # folders of the node below which its tasks may mount, such as /srv/$name
  privileged: false # whether its containers may be privileged
  taskDefaults: # for containers that say nothing
    requests: {cpu: 100m, memory: 64Mi}
    # limits: {memory: 256Mi}
"""

QUEUE = """\
# A queue: whom resources are for. An admin applies it: berth apply -f $file
# A namespace must allow it (spec.queues) before its tasks may name it.
apiVersion: berth/v1
kind: Queue
metadata:
  name: $name
spec:
  weight: 1 # its share beside the other queues
  # guarantee: {cpu: 2, memory: 4Gi} # kept for it when it wants it
  # limit: {cpu: 16, memory: 64Gi} # what its tasks may use together
  ordering: fcfs # first come first served; or sjf, the shortest estimatedDuration first
  backfill: easy # small tasks may pass one that does not fit, if they don't delay it; or none, conservative
  maxWait: 1h # who has waited so long goes first
  # placement: binpack # or spread, balanced
  namespaces: ["*"] # whose tasks may be in it
"""

PRIORITY_CLASS = """\
# A priority class: a name for a priority. Tasks of higher priority are placed first.
# An admin applies it: berth apply -f $file
apiVersion: berth/v1
kind: PriorityClass
metadata:
  name: $name
spec:
  value: 1000 # -1000000000 to 1000000000; a namespace has a ceiling, its maxPriority
  description: for what people wait for
"""

GIT_SOURCE = """\
# A source: objects are kept as a folder of a git repository says. An admin applies it: berth apply -f $file
#   look at it:   berth sync status $name
apiVersion: berth/v1
kind: GitSource
metadata:
  name: $name
spec:
  url: https://git.example.com/team/deploy.git # or ssh://, git@HOST:PATH, file:///
  branch: main # or tag: v1
  path: "" # folder with the manifests; "" for all of the repository
  interval: 60s # how often it is asked
  prune: false # true: objects that left the repository are deleted
  selfHeal: false # true: what others changed is put right
  namespaces: [default] # where it may write; objects without namespace go into the first
  # kinds: [Deployment, ConfigMap] # what it may write; unless given, all kinds that have a namespace
  # credentials: {name: git} # a Secret: username and password, token, or ssh-privatekey and known_hosts
  # webhook: {secret: {name: git}} # who knows its key webhook may POST /v1/webhook/$name
"""

NODE = """\
# What people say about a node. It needs no object to be used: it appears when its agent starts.
# An admin applies it: berth apply -f $file
apiVersion: berth/v1
kind: Node
metadata:
  name: $name # the name that its agent was started with
  labels: {} # beside those of the agent, such as {disk: ssd}; tasks choose by them with nodeSelector
spec:
  unschedulable: false # true: nothing new comes, what runs stays; also: berth cordon $name
  # taints: # keep off tasks that don't tolerate them
  #   - {key: dedicated, value: batch, effect: NoSchedule}
  # reserved: {cpu: 500m, memory: 512Mi} # kept for the system
"""
