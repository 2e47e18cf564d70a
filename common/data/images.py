"""Pictures on another grid."""

import numpy as np
from jaxtyping import Float, Shaped


def resize_area(
    images: Shaped[np.ndarray, "n height width"], height: int, width: int
) -> Float[np.ndarray, "n {height} {width}"]:
    """Return the images resized so that a new pixel is the mean of the old ones that it touches.

    Matches torch.nn.functional.interpolate(mode="area"), which is adaptive average pooling and
    what MONAI's Resize does unless told otherwise. The value range is kept.
    """
    wide = _mean_along(images.astype(np.float64), 2, width)
    return _mean_along(wide, 1, height).astype(np.float32)


def _mean_along(images: np.ndarray, axis: int, after: int) -> np.ndarray:
    """Return the means over old pixels floor(i b / a) up to ceil((i + 1) b / a) along an axis.

    Sums, not a product with a matrix: they have the same last bit on every machine.
    """
    before, new = images.shape[axis], np.arange(after)
    start, stop = new * before // after, -(-(new + 1) * before // after)
    padded = np.pad(images, [(0, int(i == axis)) for i in range(images.ndim)])
    sums = np.add.reduceat(padded, np.stack([start, stop], 1).ravel(), axis=axis)
    shape = [-1 if i == axis else 1 for i in range(images.ndim)]
    return sums.take(2 * new, axis=axis) / (stop - start).reshape(shape)
