"""A Dagster Pipes script that trains a small network on the handwritten digits of scikit-learn.

`Device.train` runs it. It trains for `extras["epochs"]` epochs and writes the weights as safetensors to
`extras["model"]`.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from dagster_pipes import PipesContext, open_dagster_pipes
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn


def digits(device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns pixels in 0-1 and labels of 1,437 training rows, and the same of 360 test rows."""
    pixels, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    x = torch.tensor(pixels / 16, dtype=torch.float32)[order].to(device)
    y = torch.tensor(labels)[order].to(device)
    return x[:1437], y[:1437], x[1437:], y[1437:]


def train(pipes: PipesContext) -> None:
    """Trains the network, and reports loss and accuracy after every epoch."""
    device = torch.device(os.environ["HEADWATER_DEVICE"])
    torch.manual_seed(0)
    torch.set_num_threads(2)
    train_x, train_y, test_x, test_y = digits(device)
    network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for epoch in range(1, pipes.get_extra("epochs") + 1):
        for rows in torch.randperm(len(train_y)).split(64):
            loss = nn.functional.cross_entropy(network(train_x[rows]), train_y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (network(test_x).argmax(1) == test_y).float().mean().item()
        pipes.log.info(f"epoch {epoch}: loss {loss.item():.3f}, accuracy {accuracy:.3f}")
        pipes.report_custom_message({"metrics": {"epoch": epoch, "loss": loss.item(), "accuracy": accuracy}})
    path = Path(pipes.get_extra("model"))
    save_file({name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}, path)
    pipes.report_asset_materialization(metadata={"accuracy": accuracy, "torch": torch.__version__})


if __name__ == "__main__":
    with open_dagster_pipes() as pipes:
        train(pipes)
