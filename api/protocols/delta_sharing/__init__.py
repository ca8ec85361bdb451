"""Delta Sharing: recipients outside the platform read shared tables with the clients of that protocol."""

from api.protocols.delta_sharing.app import mounts

__all__ = ["mounts"]
