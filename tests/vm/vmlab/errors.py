# SPDX-License-Identifier: MIT
"""The three ways a laboratory run can end badly."""


class LabError(Exception):
    """The laboratory itself broke: no QEMU, no shell, a guest that died."""


class Skip(Exception):
    """This machine cannot run the test; the reason is the message."""


class CheckFailed(Exception):
    """The product did not keep its contract."""


def check(condition, message):
    """Raise CheckFailed with `message` unless `condition` holds."""
    if not condition:
        raise CheckFailed(message)
