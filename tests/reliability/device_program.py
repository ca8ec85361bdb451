"""A run that trains for ever: `python device_program.py SCRIPT`. Cancelled or killed by the test."""

import sys
from pathlib import Path
from typing import Any

import dagster as dg

from resources.gpu import Device


@dg.asset
def network(context: dg.AssetExecutionContext, device: Device) -> dg.MaterializeResult[Any]:
    """Never done."""
    device.train(context, Path(sys.argv[1]))
    return dg.MaterializeResult()


if __name__ == "__main__":
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([network], resources={"device": Device()}, instance=instance)
