"""Golden values of the metrics from the implementations that they match.

pip install torch==2.13.0 pytorch-msssim==1.0.0 pytorch-fid==0.3.0 torch-fidelity==0.4.0 \
    torchvision==0.28.0 scikit-image==0.26.0 scipy==1.17.1
python tests/golden/make_metrics.py
"""

from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from pytorch_fid.fid_score import calculate_frechet_distance
from pytorch_msssim import ssim
from scipy.ndimage import gaussian_filter
from scipy.stats import pearsonr
from skimage.metrics import structural_similarity
from torch_fidelity.metric_kid import kernel_mmd

random = np.random.default_rng(0)


def smooth_images(n, height, width, channels):
    """Return images [0, 1] with structure at several scales, so that SSIM takes varied values."""
    noise = random.standard_normal((n, height, width, channels))
    layers = [gaussian_filter(noise, (0, s, s, 0)) * s for s in (1, 3, 8)]
    images = 0.5 + 0.25 * sum(layers) / np.std(sum(layers))
    return images.clip(0, 1).astype(np.float32)


def torch_ssim(x, y):
    x, y = (torch.from_numpy(z.transpose(0, 3, 1, 2).copy()) for z in (x, y))
    return ssim(x, y, data_range=1, size_average=False).numpy()


def skimage_ssim(x, y):
    return structural_similarity(
        x, y, data_range=1, gaussian_weights=True, use_sample_covariance=False, channel_axis=-1
    )


x = smooth_images(3, 24, 33, 3)
y = (0.7 * x + 0.3 * smooth_images(3, 24, 33, 3)).astype(np.float32)
gray = smooth_images(7, 20, 27, 1)
pairs = [torch_ssim(gray[i : i + 1], gray[j : j + 1])[0] for i, j in combinations(range(7), 2)]
arrays = {
    "x": x,
    "y": y,
    "ssim": torch_ssim(x, y),
    "ssim_skimage": [skimage_ssim(a, b) for a, b in zip(x, y, strict=True)],
    "gray": gray,
    "all_pairs": [np.mean(pairs), np.std(pairs)],
}

a = random.standard_normal((200, 48)) @ random.standard_normal((48, 48)) / 7
b = 0.2 + random.standard_normal((170, 48)) @ random.standard_normal((48, 48)) / 6
a, b = a.astype(np.float32), b.astype(np.float32)
arrays |= {"a": a, "b": b}
for name, n in (("frechet", 170), ("frechet_few", 30)):  # 30: fewer images than features
    sets = [z[:n].astype("f8") for z in (a, b)]
    moments = [(z.mean(0), np.cov(z, rowvar=False)) for z in sets]
    arrays[name] = calculate_frechet_distance(*moments[0], *moments[1])
kernel = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
arrays["mmd"] = kernel_mmd(a[:170].astype("f8"), b.astype("f8"), **kernel, kid_kernel_poly_coef0=1)
arrays["r"] = pearsonr(a[:, 0], a[:, 1]).statistic
np.savez_compressed(Path(__file__).with_name("metrics.npz"), **arrays)
