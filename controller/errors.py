"""What ends a controller.

ControllerError
└── CannotStart    wrong settings, an etcd that is too old, or no permission; restarting does not help
"""


class ControllerError(Exception):
    """Base of the controller's errors."""


class CannotStart(ControllerError):
    """Something that a person must change first."""
