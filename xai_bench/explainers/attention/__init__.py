"""Where a transformer's tokens attend to, and what of it raises the target's logit."""

from xai_bench.explainers.attention.gmar import GMAR
from xai_bench.explainers.attention.gradient_rollout import GradientRollout
from xai_bench.explainers.attention.raw_attention import RawAttention
from xai_bench.explainers.attention.rollout import Rollout
from xai_bench.explainers.attention.transformer_attribution import TransformerAttribution
from xai_bench.explainers.explainer import Explainer

ATTENTION: tuple[type[Explainer], ...] = (RawAttention, Rollout, GradientRollout, GMAR, TransformerAttribution)

__all__ = ["ATTENTION", "GMAR", "GradientRollout", "RawAttention", "Rollout", "TransformerAttribution"]
