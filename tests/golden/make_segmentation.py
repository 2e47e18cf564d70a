"""Write segmentation.npz: overlap and surface distances of masks by MONAI, medpy and scikit-learn.

pip install torch==2.13.0 monai==1.4.0 medpy==0.5.2 scikit-learn==1.9.1 scikit-image==0.26.0 \
    scipy==1.17.1
python tests/golden/make_segmentation.py
"""

import warnings
from pathlib import Path

import medpy.metric.binary as medpy
import numpy as np
import torch
from monai.losses import DiceLoss
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
)
from scipy.ndimage import gaussian_filter, shift
from skimage.data import coins
from skimage.filters import threshold_otsu
from sklearn.metrics import precision_score, recall_score

CLASSES = 4
random = np.random.default_rng(0)
warnings.simplefilter("ignore")  # MONAI's, of empty masks


def smooth_labels(shape, sigma):
    """Return labels 0 to 3 whose classes form connected patches, class 3 the smallest."""
    noise = gaussian_filter(random.standard_normal(shape), (0, *[sigma] * (len(shape) - 1)))
    edges = np.quantile(noise, [0.6, 0.8, 0.95])
    return np.digitize(noise, edges).astype(np.uint8)


def one_hot(labels):
    """Return labels [n ...] as float torch masks [n classes ...]."""
    return torch.from_numpy(np.stack([labels == c for c in range(CLASSES)], 1).astype(np.float32))


def sklearn_scores(score, predicted, target):
    kinds = {"labels": range(CLASSES), "average": None, "zero_division": 0}
    pairs = zip(target, predicted, strict=True)
    return np.array([score(t.ravel(), p.ravel(), **kinds) for t, p in pairs])


def surface(predicted, target, spacing):
    """Return MONAI's HD95, Hausdorff distance and ASSD, then medpy's HD95 and ASSD."""
    p, t = (torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (predicted, target))
    options = {"include_background": True, "spacing": spacing}
    return [
        compute_hausdorff_distance(p, t, percentile=95, **options).item(),
        compute_hausdorff_distance(p, t, **options).item(),
        compute_average_surface_distance(p, t, symmetric=True, **options).item(),
        medpy.hd95(predicted, target, spacing),
        medpy.assd(predicted, target, spacing),
    ]


target = smooth_labels((6, 40, 52), 4)
predicted = np.where(random.random(target.shape) < 0.1, smooth_labels(target.shape, 4), target)
predicted[4][predicted[4] == 3], target[5][target[5] == 3] = 0, 0  # each empty on one side
predicted[3][predicted[3] == 3], target[3][target[3] == 3] = 0, 0  # and both
p, t = one_hot(predicted), one_hot(target)
arrays = {
    "predicted": predicted,
    "target": target,
    "dice": compute_dice(p, t, ignore_empty=False),
    "iou": compute_iou(p, t, ignore_empty=False),
    "precision": sklearn_scores(precision_score, predicted, target),
    "recall": sklearn_scores(recall_score, predicted, target),
}

probabilities = gaussian_filter(t[:, 1].numpy(), (0, 2, 2))
p, t = torch.from_numpy(probabilities)[:, None], t[:, 1:2]
for name, jaccard, smooth in (("soft_dice", False, 0.1), ("soft_iou", True, 0.2)):
    for suffix, batch in (("", True), ("_images", False)):
        loss = DiceLoss(
            jaccard=jaccard, smooth_nr=smooth, smooth_dr=smooth, batch=batch, reduction="none"
        )
        arrays[name + suffix] = 1 - loss(p, t).numpy().ravel()
arrays |= {"probabilities": probabilities, "mask": t[:, 0].numpy().astype(bool)}

image = coins()[60:240, 60:300].astype(np.float64)
real = image > threshold_otsu(image), gaussian_filter(image, 3) > threshold_otsu(image) + 5
offset = (np.indices((14, 30, 33)).T - (6.5, 14, 17)) / (4, 9, 11)
ball = (offset**2).sum(-1).T < 1
solid = ball, shift(ball.astype(np.float64), (1, -2.4, 4), order=1) > 0.5
touching = solid[0][:7], solid[1][:7]  # both reach the edge of the volume
for name, masks, spacing in (
    ("real", real, (1.0, 1.0)),
    ("flat", (predicted[0] == 2, target[0] == 2), (0.8, 1.5)),
    ("solid", solid, (3.0, 0.9375, 0.9375)),
    ("touching", touching, (3.0, 0.9375, 0.9375)),
):
    arrays[name + "_masks"] = np.packbits(masks)
    arrays[name + "_shape"] = np.shape(masks)
    arrays[name + "_spacing"] = spacing
    arrays[name] = surface(*masks, spacing)
np.savez_compressed(Path(__file__).with_name("segmentation.npz"), **arrays)
for name in arrays:
    print(name, np.shape(arrays[name]), np.asarray(arrays[name]).ravel()[:5])
