"""Damage the checkpoint as a bad merge or a lost layer would: `python damage.py`, then watch the gate turn red."""

import torch
from safetensors.torch import load_file, save_file

CHECKPOINT = "shapes.safetensors"


def main() -> None:
    """Replace the weights of the fourth convolution by noise of the same spread."""
    weights = load_file(CHECKPOINT)
    layer = weights["9.weight"]
    noise = torch.randn(layer.shape, generator=torch.Generator().manual_seed(0))
    weights["9.weight"] = noise * layer.std() + layer.mean()
    save_file(weights, CHECKPOINT)
    print(f"9.weight of {CHECKPOINT} is noise now; `git checkout {CHECKPOINT}` takes it back")


if __name__ == "__main__":
    main()
