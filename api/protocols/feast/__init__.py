"""The API of Feast's feature server over feature views and services, for unmodified Feast clients."""

from api.protocols.feast.app import mounts

__all__ = ["mounts"]
