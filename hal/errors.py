"""What can go wrong with hardware.

HalError
├── DeviceMissing   the role has no device, or its library is not installed
├── DeviceBusy      somebody else holds the device
├── DeviceFault     the device answers, but wrongly, or stopped answering
└── SignalLost      the device works and receives nothing (no satellite, no picture)
"""

from __future__ import annotations


class HalError(Exception):
    """Something of the world outside failed; the message names the role, the device and what to do."""


class DeviceMissing(HalError):
    """There is no such device here, or the library that drives it is not installed."""


class DeviceBusy(HalError):
    """The device is there and another process holds it."""


class DeviceFault(HalError):
    """The device answered wrongly or stopped answering."""


class SignalLost(HalError):
    """The device works, but what it should receive is not there."""
