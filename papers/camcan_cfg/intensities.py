"""From a scanner's numbers to images in which white is 1, of the study's size."""

import numpy as np
from jaxtyping import Float

from common.data.images import resize_area
from common.data.raw import BadFile
from papers.camcan_cfg.config import DataConfig

# The source divides by 255 whatever it finds. Interpolation overshoots [0, 255] by some percent;
# a volume far outside was not scaled to it, and one below 32 would come out black.
LOWEST, DARKEST_PEAK, HIGHEST = -64.0, 32.0, 320.0


def as_images(
    slices: Float[np.ndarray, "slices rows columns"], config: DataConfig
) -> Float[np.ndarray, "slices height width"]:
    """Return a subject's slices scaled, and resized as MONAI does, or raise `BadFile`.

    Without `config.percentile` they are divided by 255 and not clipped, as in the source. With it
    that percentile of all their voxels becomes 1, and they are clipped to [0, 1].
    """
    return resize_area(_scaled(slices, config.percentile), config.height, config.width)


def _scaled(slices: np.ndarray, percentile: float) -> np.ndarray:
    low, high = slices.min(), slices.max()
    if percentile:
        white = np.percentile(slices, percentile)
        if not white > 0:
            raise BadFile(f"shows nothing: its intensities run from {low:g} to {high:g}")
        return np.clip(slices / np.float32(white), 0, 1)
    if low < LOWEST or not DARKEST_PEAK <= high <= HIGHEST:
        raise BadFile(
            f"intensities run from {low:g} to {high:g}, scale them to 0 to 255, or let "
            "--set data.percentile=99.5 do it"
        )
    return slices / np.float32(255)
