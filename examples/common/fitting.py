"""The training loop of the examples' networks: AdamW with one cycle of the learning rate."""

from __future__ import annotations

from collections.abc import Callable

import torch


def fit(
    model: torch.nn.Module,
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    count: int,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
) -> None:
    """Train a model on `count` rows; `loss_of` returns the mean loss of the rows of the given indices."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    steps = epochs * -(-count // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=learning_rate, total_steps=steps)
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.randperm(count).split(batch_size):
            loss = loss_of(rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        print(f"epoch {epoch + 1} of {epochs}: mean loss {total / count:.4f}", flush=True)
