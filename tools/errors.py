"""What can go wrong while a machine is made ready; every message says what to do next.

ToolError
├── SetupError          a program or package is missing and can't be installed from here
├── EngineUnavailable   no Docker daemon answers and none may be started
├── StartError          a private etcd or dockerd did not come up; carries the tail of its log
└── DockerError         the Docker Engine refused a request
    └── NoSuchObject    ... as it knows nothing of that name
"""


class ToolError(Exception):
    """Base of all errors of the development tools; shown without a traceback."""


class SetupError(ToolError):
    """Something must be installed by hand."""


class EngineUnavailable(ToolError):
    """No Docker daemon answers, and the user may not start a private one."""


class StartError(ToolError):
    """A private server did not answer in time, or ended."""


class DockerError(ToolError):
    """The Docker Engine answered a request with an error."""


class NoSuchObject(DockerError):
    """It answered 404."""
