"""SCIM 2.0 (RFC 7643, 7644, 9865): identity providers manage the users and groups of an organization.

`scim2-server` implements the protocol. Its storage is the platform's users and groups, so a change by a directory is a
change of the admin service: same permissions, hooks, audit event, and revision, in one transaction.
"""

from api.protocols.scim.mount import mounts

__all__ = ["mounts"]
