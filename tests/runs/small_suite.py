"""A suite that runs in a second: two tiny models on planted images."""

import xai_bench as xb

MODEL = {"pretrained": False, "num_classes": 4, "input_size": 32}
MODELS = [
    {"name": "timm:test_resnet", "label": "plain", **MODEL},
    {"name": "ersm:test_resnet", "label": "ersm", "mode": "stable", **MODEL},
]
DATA = {"name": "planted", "split": "test", "n": 6, "size": 32, "batch_size": 4}
METRICS = [
    {"name": "deletion", "steps": 2},
    {"name": "pointing_game", "tolerance": 3},
    "top1",
    {"name": "class_entropy", "steps": 2},
]


def models():
    """The same random weights at every call."""
    import torch

    torch.manual_seed(0)
    return [xb.load_model(**model, device="cpu") for model in MODELS]


def evaluate(out=None, **changed):
    wanted = {"explainers": ["gradcam", "energy", "random"], "metrics": METRICS, "data": DATA, "device": "cpu"}
    wanted |= {"progress": False} | changed
    return xb.evaluate(models(), out=out, **wanted)
