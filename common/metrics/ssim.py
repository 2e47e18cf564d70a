"""Structural similarity (Wang et al. 2004), of pairs and inside a set.

    SSIM(x, y) = (2 μx μy + C1) (2 σxy + C2) / ((μx² + μy² + C1) (σx² + σy² + C2))            (1)

with Gaussian-weighted moments over every window that lies wholly inside the image. Matches
pytorch_msssim 1.0.0's `ssim` at its defaults (window 11, σ 1.5, K 0.01 and 0.03) with
`data_range=1`. With the second factor of (1) called cs, over scales j = 1 ... M, each half the size
of the one before (Wang, Simoncelli and Bovik 2003):

    MS-SSIM(x, y) = SSIM_M^w_M  prod over j < M of  cs_j^w_j                                   (2)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from common.errors import InputError
from common.metrics.checks import check_images, check_same_shape
from common.metrics.intervals import Interval, around
from common.metrics.roots import root
from common.nn.conv import avg_pool

AnyArray = jax.Array | np.ndarray
WINDOW = 11  # pixels
MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first
_SIGMA = 1.5  # pixels
_C1, _C2 = 0.01**2, 0.03**2
_BLOCK = 512  # images on a side of a block of pairs: its values stay in a core's cache


@dataclass(frozen=True)
class PairwiseSSIM:
    """Mean and standard deviation over the pairs of a set, and how many images it has.

    The standard error is the mean's, by leaving out one image at a time: pairs that share an image
    are not independent. NaN for two images.
    """

    mean: float
    std: float
    n: int
    standard_error: float

    def interval(self, level: float = 0.95) -> Interval:
        """Return the mean with its confidence interval, Student's t with n - 1 degrees."""
        return around(self.mean, self.standard_error, (self.n,), level)


def ssim(
    x: Float[AnyArray, "batch height width channels"], y: Float[AnyArray, ...]
) -> Float[Array, " batch"]:
    """Return the SSIM of each pair of images [0, 1], averaged over channels; in [-1, 1].

    Pure. Raises InputError for values outside [0, 1], NaN, shapes that differ, and images smaller
    than the window.
    """
    _check(x, "first images")
    _check(y, "second images")
    check_same_shape(x, y, ("first images", "second images"))
    mean_x, mean_y = _windowed(x), _windowed(y)
    squares_x, squares_y = _windowed(x * x), _windowed(y * y)
    return _similarity(mean_x, mean_y, squares_x, squares_y, _windowed(x * y)).mean((1, 2, 3))


def ms_ssim(
    x: Float[AnyArray, "batch height width channels"],
    y: Float[AnyArray, ...],
    weights: Sequence[float] = MS_WEIGHTS,
) -> Float[Array, " batch"]:
    """Return the MS-SSIM of each pair of images [0, 1], averaged over channels; in [0, 1].

    Matches pytorch_msssim 1.0.0's `ms_ssim`: a scale of negative similarity counts as 0 (where our
    gradient is 0 and pytorch_msssim's not a number), and a side of odd length gets a row of zeros
    before it is halved. Pure. Raises InputError as `ssim`, and for images whose coarsest scale is
    smaller than the window: five scales need 161 pixels, four 81, three 41.
    """
    if not len(weights):
        raise InputError("weights of MS-SSIM's scales: 0 given, at least 1 needed")
    smallest = (WINDOW - 1) * 2 ** (len(weights) - 1) + 1
    for name, images in (("first images", x), ("second images", y)):
        _check(images, name)
        if min(images.shape[1:3]) < smallest:
            raise InputError(
                f"{name}: {images.shape[1]}x{images.shape[2]}, expected at least "
                f"{smallest}x{smallest} for {len(weights)} scales of MS-SSIM; give fewer weights"
            )
    check_same_shape(x, y, ("first images", "second images"))
    result = jnp.ones((len(x), x.shape[3]))
    for scale, weight in enumerate(weights, 1):
        every = _windowed(jnp.concatenate([x, y, x * x, y * y, x * y]))
        moments = jnp.split(every, 5)
        if scale < len(weights):
            values = _contrast(*moments)
            x, y = _halved(x), _halved(y)
        else:
            values = _similarity(*moments)
        result *= root(values.mean((1, 2)), weight)
    return result.mean(1)


def _halved(x: AnyArray) -> Array:
    """Return NHWC images of half the size, sides of odd length preceded by zeros."""
    _, height, width, _ = x.shape
    return avg_pool(jnp.pad(x, ((0, 0), (height % 2, 0), (width % 2, 0), (0, 0))), 2)


def all_pairs_ssim(images: Float[AnyArray, "n height width channels"]) -> PairwiseSSIM:
    """Return the SSIM over all pairs of different images in a set: low where a set is diverse.

    Raises InputError as `ssim`, and for fewer than two images.
    """
    _check(images, "images", minimum=2)
    n = len(images)
    size = min(_BLOCK, n)
    total = squares = 0.0
    of_image = np.zeros(n)  # sums over the pairs that an image is in
    for i in range(0, n, size):
        for j in range(i, n, size):
            values = _cross_ssim(_block(images, i, size), _block(images, j, size))
            pairs = np.asarray(values, np.float64)[: n - i, : n - j]
            if i == j:
                pairs = np.triu(pairs, 1)
            total, squares = total + pairs.sum(), squares + (pairs**2).sum()
            of_image[i : i + size] += pairs.sum(1)
            of_image[j : j + size] += pairs.sum(0)
    count = n * (n - 1) / 2
    variance = max(squares / count - (total / count) ** 2, 0.0)
    left_out = (total - of_image) / (count - (n - 1)) if n > 2 else np.full(n, np.nan)
    error = ((n - 1) * left_out.var()) ** 0.5
    return PairwiseSSIM(float(total / count), float(variance**0.5), n, float(error))


def _block(images: AnyArray, start: int, size: int) -> AnyArray:
    """Return `size` images from `start` on, the last block filled up with black ones."""
    block = images[start : start + size]
    return np.pad(block, ((0, size - len(block)), (0, 0), (0, 0), (0, 0)))


@jax.jit
def _cross_ssim(
    first: Float[AnyArray, "n height width channels"],
    second: Float[AnyArray, "m height width channels"],
) -> Float[Array, "n m"]:
    """Return the SSIM of each image of one set with each of the other.

    The moment that a pair shares, the windowed mean of x y, is at one window position a matrix
    product of both sets' windows; so a step of the scan treats one position of all pairs. Images
    come last in memory, where a window is one slice.
    """
    weights = np.outer(_gaussian(), _gaussian()).reshape(-1, 1)
    x, y = jnp.moveaxis(first, 0, -1), jnp.moveaxis(second, 0, -1)
    moments = [_windowed(z) for z in (first, second, first * first, second * second)]
    mean_x, mean_y, squares_x, squares_y = (jnp.moveaxis(z, 0, -1) for z in moments)
    rows, columns, channels, _ = mean_x.shape

    def add_position(total, i):
        row, column, channel = i // (columns * channels), i // channels % columns, i % channels
        corner = (row, column, channel)

        def window(z):
            size = (WINDOW, WINDOW, 1, z.shape[-1])
            return jax.lax.dynamic_slice(z, (*corner, 0), size).reshape(WINDOW**2, -1)

        products = jnp.matmul((window(x) * weights).T, window(y), precision="highest")
        values = _similarity(
            mean_x[corner][:, None],
            mean_y[corner],
            squares_x[corner][:, None],
            squares_y[corner],
            products,
        )
        return total + values, None

    positions = rows * columns * channels
    total, _ = jax.lax.scan(
        add_position, jnp.zeros((len(first), len(second))), jnp.arange(positions)
    )
    return total / positions


def _similarity(mean_x, mean_y, squares_x, squares_y, products):
    """Return equation (1) from the windowed means of x, y, x², y² and x y."""
    means = mean_x * mean_y
    energy_x, energy_y = mean_x**2, mean_y**2
    luminance = (2 * means + _C1) / (energy_x + energy_y + _C1)
    variances = (squares_x - energy_x) + (squares_y - energy_y)
    return luminance * (2 * (products - means) + _C2) / (variances + _C2)


def _contrast(mean_x, mean_y, squares_x, squares_y, products):
    """Return the second factor of equation (1)."""
    variances = (squares_x - mean_x**2) + (squares_y - mean_y**2)
    return (2 * (products - mean_x * mean_y) + _C2) / (variances + _C2)


def _gaussian() -> np.ndarray:
    """Return the weights of a window's rows or columns."""
    weights = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * _SIGMA**2))
    return (weights / weights.sum()).astype(np.float32)


def _windowed(x: AnyArray) -> Array:
    """Return the Gaussian-weighted mean of every window of NHWC images."""

    def band(size: int) -> np.ndarray:
        shifted = [np.pad(_gaussian(), (i, size - WINDOW - i)) for i in range(size - WINDOW + 1)]
        return np.stack(shifted)

    rows, columns = band(x.shape[1]), band(x.shape[2])
    return jnp.einsum("rh,bhwc,vw->brvc", rows, x, columns, precision="highest")


def _check(images: AnyArray, name: str, minimum: int = 1) -> None:
    check_images(images, name, minimum)
    if min(images.shape[1:3]) < WINDOW:
        raise InputError(
            f"{name}: {images.shape[1]}x{images.shape[2]}, expected at least {WINDOW}x{WINDOW}"
        )
