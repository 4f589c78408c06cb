"""Maps at another resolution: from the cells of a feature map to the pixels of the image, and blurred."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from xai_bench.removal.blur import TRUNCATE, reflected
from xai_bench.types import Images, Maps


def upsample(cells: Float[Tensor, "B h w"], images: Images) -> Maps:
    """Bilinear, cell centres aligned (`align_corners=False`)."""
    resized = F.interpolate(cells[:, None].float(), images.shape[2:], mode="bilinear", align_corners=False)
    return resized[:, 0]


def blurred(maps: Maps, sigma: float) -> Maps:
    """Under a Gaussian whose standard deviation is in sides of the map, its shorter one; 0 leaves it as it is."""
    pixels = sigma * min(maps.shape[1:])
    return reflected(maps[:, None], pixels, int(TRUNCATE * pixels + 0.5))[:, 0] if pixels > 0 else maps
