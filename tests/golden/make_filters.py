"""Writes filters.npz: findpeaks's Lee, Kuan and Frost filters of a speckled image.

pip install findpeaks==2.7.5 numpy scipy
python tests/golden/make_filters.py

findpeaks rounds what Lee's and Kuan's filters give to whole numbers, so the image goes to 1e6.
"""

from pathlib import Path

import numpy as np
from findpeaks.filters.frost import frost_filter
from findpeaks.filters.kuan import kuan_filter
from findpeaks.filters.lee import lee_filter

random = np.random.default_rng(0)
rows, columns = np.mgrid[:20, :26]
clean = 0.25 + 0.5 * (np.hypot(rows - 9, columns - 12) < 7)
image = (clean * random.rayleigh(np.sqrt(2 / np.pi), clean.shape)).clip(0.01, 2) / 2
image[:6, :6] = 0.3  # a window without variation
image = image.astype(np.float32)
arrays = {"image": image}
for size in (3, 5, 7):
    scaled = image.astype(np.float64) * 1e6
    arrays[f"lee{size}"] = lee_filter(scaled, win_size=size, cu=0.25) / 1e6
    arrays[f"kuan{size}"] = kuan_filter(scaled, win_size=size, cu=0.4) / 1e6
    if size > 3:  # its windows of 3 become empty at the edges
        arrays[f"frost{size}"] = frost_filter(scaled, damping_factor=2.0, win_size=size) / 1e6
np.savez_compressed(Path(__file__).with_name("filters.npz"), **arrays)
