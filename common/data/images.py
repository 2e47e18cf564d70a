"""Images on another grid, and windows of them."""

import numpy as np
from jaxtyping import Float, Shaped, UInt8

Window = tuple[slice, slice]  # rows and columns


def resize_area(
    images: Shaped[np.ndarray, "n height width"], height: int, width: int
) -> Float[np.ndarray, "n {height} {width}"]:
    """Return the images resized so that a new pixel is the mean of the old ones that it touches.

    Matches torch.nn.functional.interpolate(mode="area"), which is adaptive average pooling and
    what MONAI's Resize does unless told otherwise. The value range is kept.
    """
    wide = _mean_along(images.astype(np.float64), 2, width)
    return _mean_along(wide, 1, height).astype(np.float32)


def resize_8_bits(
    images: UInt8[np.ndarray, "n height width channels"], height: int, width: int
) -> UInt8[np.ndarray, "n {height} {width} channels"]:
    """Return 8-bit images resized as `resize_area` does, each channel alone, and rounded."""
    channels = [resize_area(images[..., c], height, width) for c in range(images.shape[-1])]
    return np.rint(np.stack(channels, -1)).astype(np.uint8)


def window(box: tuple[int, int, int, int], ratio: float, margin: float = 1.0) -> Window:
    """Return rows and columns of the smallest window about a box whose rows / columns is `ratio`.

    `box` is (top, left, bottom, right) in pixels; `margin` multiplies the window's sides. It may
    reach over the image's edge, with a negative start too.
    """
    top, left, bottom, right = box
    columns = margin * max(right - left, (bottom - top) / ratio)
    rows, columns = round(columns * ratio), round(columns)
    start, first = int(top + bottom - rows) // 2, int(left + right - columns) // 2
    return slice(start, start + rows), slice(first, first + columns)


def cut(images: Shaped[np.ndarray, "n height width *channels"], window: Window) -> np.ndarray:
    """Return the window of every image, zero where it reaches over the edge."""
    sides = list(zip(window, images.shape[1:3], strict=True))
    pads = [(max(0, -part.start), max(0, part.stop - size)) for part, size in sides]
    whole = [(0, 0)] * (images.ndim - 3)
    padded = np.pad(images, [(0, 0), *pads, *whole])
    rows, columns = (
        slice(part.start + before, part.stop + before)
        for part, (before, _) in zip(window, pads, strict=True)
    )
    return padded[:, rows, columns]


def paste(
    maps: Shaped[np.ndarray, "n rows columns *channels"], window: Window, height: int, width: int
) -> Shaped[np.ndarray, "n {height} {width} *channels"]:
    """Return whole images, zero but for the window: what `cut` took out, put back."""
    sides = list(zip(window, (height, width), strict=True))
    rows, columns = (slice(max(0, part.start), min(size, part.stop)) for part, size in sides)
    inside = [
        slice(there.start - part.start, there.stop - part.start)
        for there, (part, _) in zip((rows, columns), sides, strict=True)
    ]
    whole = np.zeros((len(maps), height, width, *maps.shape[3:]), maps.dtype)
    whole[:, rows, columns] = maps[:, inside[0], inside[1]]
    return whole


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
