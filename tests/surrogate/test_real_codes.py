"""The posterior on codes that a net has learned: nearer to their distribution than independent bits are."""

from __future__ import annotations

import torch

from hashkernels.data import load_dataset
from hashkernels.surrogate import posterior_fit
from hashkernels.train import build_loss, build_model, embed, fit


def test_two_blocks_of_a_trained_net_beat_the_naive_estimate() -> None:
    split = load_dataset("digits")
    model = build_model(split.item_shape, 16, seed=0)
    loss = build_loss("csq_d", 16, split.num_classes, seed=0)
    fit(model, loss, (split.train_items, split.train_labels), epochs=4, learning_rate=3e-3)
    u = torch.as_tensor(embed(model, split.train_items))
    of_items = posterior_fit(loss.posterior.eval(), u, average="items")
    of_blocks = posterior_fit(loss.posterior.eval(), u, average="blocks")
    assert of_items.num_codes > split.num_classes
    # The bits of a code hang together: within a block, and, which the product of the blocks' means leaves out, between.
    assert 0 <= of_items.surrogate < of_blocks.surrogate < of_blocks.naive
    assert of_items.surrogate < 0.2 * of_items.naive
