"""Train the project's model on generated images: `python train.py` writes shapes.safetensors, about a minute."""

import torch
from network import shapes
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

import xai_bench as xb

MEAN, STD = 0.5, 0.25  # what the suite says too
EPOCHS, BATCH = 30, 64


def main() -> None:
    """Train on images whose background says nothing, save the weights, say the accuracy on images never seen."""
    torch.manual_seed(0)
    images, labels = drawn("train", 4000)
    model = shapes()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=EPOCHS * len(images) // BATCH)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH)[: len(images) // BATCH]:
            batch = images[rows].flip(-1) if torch.rand(()) < 0.5 else images[rows]
            optimiser.zero_grad()
            cross_entropy(model(batch), labels[rows]).backward()
            optimiser.step()
            schedule.step()
    model.eval()
    save_file(model.state_dict(), "shapes.safetensors")
    images, labels = drawn("test", 1000)
    with torch.no_grad():
        print(f"accuracy {(model(images).argmax(1) == labels).float().mean():.3f}")


def drawn(split: str, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised images (n, 3, 64, 64) and their labels (n,)."""
    batches = list(xb.load_data("planted", split=split, n=n, correlation=0.25))
    return (torch.cat([b.images for b in batches]) - MEAN) / STD, torch.cat([b.labels for b in batches])


if __name__ == "__main__":
    main()
