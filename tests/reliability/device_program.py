"""A run with a trainer that doesn't end: `python device_program.py SCRIPT`. The test cancels or kills it."""

import sys
from pathlib import Path
from typing import Any

import dagster as dg

from resources.gpu import Device


@dg.asset
def network(context: dg.AssetExecutionContext, device: Device) -> dg.MaterializeResult[Any]:
    """Trains until it is canceled."""
    device.train(context, Path(sys.argv[1]))
    return dg.MaterializeResult()


if __name__ == "__main__":
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([network], resources={"device": Device()}, instance=instance)
