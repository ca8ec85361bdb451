"""SCIM 2.0 (RFC 7643, 7644, 9865): identity providers keep the users and groups of an organization up to date.

`scim2-server` speaks the protocol; here its storage is the platform's users and groups. So a directory's change is the
change of the admin service: same rights, hooks, audit row, events and revisions, in one transaction.
"""

from api.protocols.scim.mount import mounts

__all__ = ["mounts"]
