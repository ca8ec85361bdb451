"""The resources of assets, which both code locations and the assets of recorded definitions have."""

from resources.delta import Delta
from resources.flower import Flower
from resources.gpu import Device
from resources.spark.resource import Spark
from resources.vectors import Vectors


def resources() -> dict[str, object]:
    """Returns the resources of assets, by parameter name."""
    return {"delta": Delta(), "device": Device(), "flower": Flower(), "spark": Spark(), "vectors": Vectors()}
