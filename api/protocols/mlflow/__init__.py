"""MLflow's REST API over the experiments and runs of the AI catalog, for unmodified MLflow clients."""

from api.protocols.mlflow.app import mounts

__all__ = ["mounts"]
