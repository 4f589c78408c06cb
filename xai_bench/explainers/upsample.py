"""From the cells of a feature map to the pixels of the image."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from xai_bench.types import Images, Maps


def upsample(cells: Float[Tensor, "B h w"], images: Images) -> Maps:
    """Bilinear, cell centres aligned (`align_corners=False`)."""
    resized = F.interpolate(cells[:, None].float(), images.shape[2:], mode="bilinear", align_corners=False)
    return resized[:, 0]
