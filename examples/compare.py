"""Compare the explanations of two models in a few lines; no network, random weights."""

import xai_bench as xb

small = {"pretrained": False, "num_classes": 4, "input_size": 64, "output_stride": 8}
results = xb.evaluate(
    models=[
        {"name": "timm:test_resnet", "label": "plain", **small},
        {"name": "ersm:test_resnet", "label": "ersm", "mode": "stable", **small},
    ],
    explainers=["gradcam", "energy", "random"],
    metrics=["deletion", {"name": "pointing_game", "tolerance": 0}],
    data={"name": "planted", "split": "shifted", "n": 16},
)
print(results.summary()[["model", "explainer", "metric", "better", "mean", "low", "high", "n", "undefined"]])
