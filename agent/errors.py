"""What can go wrong in an agent, beyond the errors of the store.

AgentError
├── StateFolderBusy     another agent uses this state folder
├── StateUnreadable     the identity file is not what an agent wrote
├── NameTaken           another node holds this node's name
├── ConfigError         what a container takes of ConfigMaps and Secrets is not there, or can't be used
├── RuntimeUnavailable  the container runtime does not answer
└── RuntimeRefused      the container runtime refuses what was asked of a container
"""


class AgentError(Exception):
    """Base of all errors of the agent; the text is for the operator."""


class StateFolderBusy(AgentError):
    """Another living agent holds the lock of the state folder."""


class StateUnreadable(AgentError):
    """The identity file can't be read; guessing another identity could run tasks twice."""


class NameTaken(AgentError):
    """The heartbeat key of this node's name belongs to another node."""


class ConfigError(AgentError):
    """A container can't be created, or files not written, for want of a ConfigMap or Secret; names, no values."""


class RuntimeUnavailable(AgentError):
    """The container runtime does not answer; containers are unknown, not dead."""


class RuntimeRefused(AgentError):
    """The container runtime refuses what was asked of a container. `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
