"""Errors that are meant for users: whoever meets one can act on its message.

Anything else that is raised is a mistake of this code. `exit_code` is that of the command line.
"""


class UserError(Exception):
    """What a user can mend; the message says how."""

    exit_code = 1


class InputError(UserError, ValueError):
    """A value, shape or setting that a function cannot work with."""


class UnsupportedError(UserError):
    """A bundle depends on something that is not implemented; the message lists all of it."""


class ResultsError(UserError):
    """The results folder cannot be used as asked; the message says what to do."""


class DiskFullError(ResultsError):
    """Nothing more can be written: the disk or the user's part of it is full."""

    exit_code = 74


class NumericalError(UserError):
    """A cost or energy is not finite; the message says where and why."""


class ClusterError(UserError):
    """The processes of a run cannot find together; the message says what to set."""
