"""Writes canny.npz: generated images, and the edges that OpenCV finds in them.

pip install opencv-python-headless==5.0.0.93 numpy==2.4.6
python tests/golden/make_canny.py
"""

from pathlib import Path

import cv2
import numpy as np

THRESHOLDS = (
    (100, 200),
    (200, 100),
    (20, 60),
    (0, 0),
    (-5, 10),
    (-0.5, -0.5),
    (99.9, 200.99),
    (100, 201),
    (254.5, 255.5),
    (1000, 1020),
    (100, 3000),
    (3000, 4000),
)


def images() -> dict[str, np.ndarray]:
    """Return uint8 images, gray and in color, with ties, ramps and sizes of one pixel."""
    random = np.random.RandomState(0)
    noise = {
        "noise": random.randint(0, 256, (48, 57)),
        "color_noise": random.randint(0, 256, (33, 40, 3)),
        "two_channels": random.randint(0, 256, (24, 20, 2)),
        "four_channels": random.randint(0, 256, (20, 24, 4)),
        "one_channel": random.randint(0, 256, (20, 24, 1)),
        "few_values": random.randint(0, 3, (40, 40)) * 100,
        "few_colors": random.randint(0, 3, (30, 30, 3)) * 60,
        "pixel": random.randint(0, 256, (1, 1)),
        "row": random.randint(0, 256, (1, 17)),
        "column": random.randint(0, 256, (19, 1)),
        "color_row": random.randint(0, 256, (1, 9, 3)),
        "square": random.randint(0, 256, (2, 2)),
        "strip": random.randint(0, 256, (2, 11)),
    }
    blurred = {
        f"{name}_blurred_{sigma}": ((_blur(noise[name], sigma) - 128) * gain + 128).clip(0, 255)
        for name, sigma, gain in (
            ("noise", 1, 2),
            ("noise", 2, 6),
            ("color_noise", 1, 2),
            ("color_noise", 2, 8),
        )
    }
    y, x = np.mgrid[:40, :52]
    radius = np.hypot(y - 18, x - 27)
    drawn = {
        "constant": x * 0 + 77,
        "ramp": x * 5 % 256,
        "saw": (3 * x + 7 * y) % 256,
        "checkers": (x // 4 + y // 4) % 2 * 255,
        "disk": (radius < 14) * 200,
        "rings": radius * 14 % 256,
        "color_disks": np.stack([(radius < r) * 90 for r in (9, 13, 17)], -1),
    }
    return {name: image.astype(np.uint8) for name, image in (noise | blurred | drawn).items()}


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image.astype(np.uint8), (0, 0), sigma).astype(float)


def main() -> None:
    golden = {"thresholds": np.array(THRESHOLDS, float)}
    for name, image in images().items():
        edges = [cv2.Canny(image, low, high) for low, high in THRESHOLDS]
        assert set(np.unique(edges)) <= {0, 255}
        golden[f"image_{name}"] = image
        golden[f"edges_{name}"] = np.packbits(np.stack(edges) > 0)
    np.savez_compressed(Path(__file__).with_name("canny.npz"), **golden)


if __name__ == "__main__":
    main()
