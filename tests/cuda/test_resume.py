"""Training on a GPU that is interrupted and gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from hashkernels.train import HashHead, Progress, build_loss, fit

LABELS = torch.arange(36) % 3
DATA = torch.randn(36, 6, generator=torch.Generator().manual_seed(0)), LABELS


@pytest.mark.parametrize("method", ["csq_d", "dpsh", "dtsh", "ecm"])
def test_training_goes_on_bit_for_bit(device: torch.device, method: str, tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.step == 7:  # of the third epoch
            raise KeyboardInterrupt

    def train(seed: int, path: Path | None, stop: bool = False) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), HashHead(8, 16)).to(device)
        loss = build_loss(method, 16, 3, num_train=36)
        fit(model, loss, DATA, epochs=4, batch_size=12, state=path, progress=interrupt if stop else None)
        return nn.ModuleList([model, loss]).state_dict()

    with pytest.raises(KeyboardInterrupt):
        train(0, tmp_path / "state", stop=True)
    resumed, whole = train(1, tmp_path / "state"), train(0, None)
    assert resumed.keys() == whole.keys()
    for name, value in whole.items():
        assert value.device == device, name
        assert torch.equal(resumed[name], value), name
