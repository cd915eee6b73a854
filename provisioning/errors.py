"""What can go wrong while a deployment or a device is made.

ProvisioningError
├── BadName           usage: a domain, device id or host name that can't be one
├── AuthorityError    the certificate authority's folder is missing, incomplete or does not fit together
├── DeploymentError   a deployment is there already, or is not there, or its settings can't be read
├── SettingsFileError a file of settings that should go over the defaults can't be read
├── EnrolmentError    a device's state folder is taken, or belongs to another deployment
└── BrokerFailed      mosquitto is not installed, or ended before it listened
"""

from __future__ import annotations


class ProvisioningError(Exception):
    """Something could not be made; the message says which thing, what was expected and what came."""

    exit_status = 1


class BadName(ProvisioningError):
    """A domain, device id or host name can't be used as one."""

    exit_status = 2


class AuthorityError(ProvisioningError):
    """The certificate authority is missing, incomplete or does not fit together."""


class DeploymentError(ProvisioningError):
    """A deployment is there already, or is not there, or its settings can't be read."""


class SettingsFileError(ProvisioningError):
    """A file of settings that should go over the defaults can't be read."""


class EnrolmentError(ProvisioningError):
    """A device's state folder is taken, or belongs to another deployment."""


class BrokerFailed(ProvisioningError):
    """Mosquitto is not installed, or ended before it listened."""
