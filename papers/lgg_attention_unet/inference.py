"""From slices of any size to tumor probabilities of the same size."""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32
from skimage.measure import label

from common.data.images import paste, resize_area
from common.metrics.overlap import PatientOverlap, overlap
from common.nn.predictor import Predictor
from papers.lgg_attention_unet.config import Config, EvaluateConfig
from papers.lgg_attention_unet.data import Part, crop_window, network_input, scale
from papers.lgg_attention_unet.datasets import Stack
from papers.lgg_attention_unet.model import AttentionUNet

THRESHOLDS = tuple(tenths / 10 for tenths in range(1, 10))

Maps = Float32[np.ndarray, "slices height width"]
Batch = Float[Array, "batch height width 3"]


class StackPredictor:
    """A trained network as a function of stacks.

    Its window of the images is brought to the network's size by the mean over areas;
    probabilities go back bilinearly, and are 0 outside of the window.
    """

    def __init__(self, network: AttentionUNet, config: Config):
        self._config = config
        apply = mirrored if config.evaluate.flips else plain
        self._predict = Predictor(network, apply, config.evaluate.batch_size)

    def __call__(self, stack: Stack) -> Maps:
        """Return the probability of tumor in every pixel of the stack's own images."""
        return self._output(self._predict(self._input(stack))[0], stack)

    def one(
        self, stack: Stack, index: int
    ) -> tuple[Float32[np.ndarray, "height width"], Float32[np.ndarray, "gates height width"]]:
        """Return one slice's probabilities and each gate's map, the deepest first."""
        predicted, gates = self._predict(self._input(stack, slice(index, index + 1)))
        maps = [self._output(one, stack)[0] for one in (predicted, *gates)]
        return maps[0], np.stack(maps)[1:]

    def _input(
        self, stack: Stack, slices: slice = slice(None)
    ) -> Float32[np.ndarray, "slices height width 3"]:
        factor = scale(stack, self._config.train.normalize)
        return network_input(stack, self._config.data, slices) * factor

    def _output(self, maps: np.ndarray, stack: Stack) -> Maps:
        """Return maps of the network's or a gate's size in the place of the images' own."""
        rows, columns = around = crop_window(stack, self._config.data)
        size = (rows.stop - rows.start, columns.stop - columns.start)
        return paste(_resized(maps, *size), around, *stack.masks.shape[1:])


def plain(network: AttentionUNet, images: Batch) -> tuple[Array, list[Array]]:
    """Return the probability of tumor [batch height width], and each gate's map."""
    logits, gates = network.with_gates(images)
    return jax.nn.sigmoid(logits)[..., 0], [gate[..., 0] for gate in gates]


def mirrored(network: AttentionUNet, images: Batch) -> tuple[Array, list[Array]]:
    """Return the mean over slices and their mirror images of the probabilities; `plain`'s gates."""
    predicted, gates = plain(network, images)
    other = jax.nn.sigmoid(network(images[:, :, ::-1]))[:, :, ::-1]
    return (predicted + other[..., 0]) / 2, gates


def predicted_mask(
    predicted: Maps, config: EvaluateConfig
) -> Bool[np.ndarray, "slices height width"]:
    """Return which pixels of a patient's stack are tumor, given the probability of each.

    With `config.largest` only the largest connected part is kept, over slices and corners, as Buda
    et al. 2019 do.
    """
    masks = np.asarray(predicted >= config.threshold)
    if not config.largest or not masks.any():
        return masks
    parts = label(masks, connectivity=3)
    return np.asarray(parts == np.bincount(parts[masks]).argmax())


def best_threshold(part: Part, segment: Callable[[Stack], Maps], config: EvaluateConfig) -> float:
    """Return which of 0.1, 0.2 … 0.9 has the highest mean Dice of the part's patients with tumor.

    Of equally good ones the lowest; the config's own where no patient has a tumor.
    """
    with_tumor = Part(tuple(one for one in part.stacks if one.masks.any()))
    if not with_tumor.stacks:
        return config.threshold
    truth, owners = with_tumor.masks, with_tumor.owners.tolist()
    maps = [segment(one) for one in with_tumor.stacks]

    def mean_dice(threshold: float) -> float:
        chosen = replace(config, threshold=threshold)
        counts = overlap(np.concatenate([predicted_mask(one, chosen) for one in maps]), truth, 2)
        return float(np.mean(PatientOverlap.of(counts, owners).counts.dice()[:, 1]))

    return max(THRESHOLDS, key=mean_dice)


def _resized(maps: np.ndarray, height: int, width: int) -> Float32[np.ndarray, "n height width"]:
    """Return maps at another size: bilinear, or area means where they become smaller."""
    if maps.shape[1:] == (height, width):
        return maps
    if height < maps.shape[1] or width < maps.shape[2]:
        return resize_area(maps, height, width)
    return np.asarray(jax.image.resize(jnp.asarray(maps), (len(maps), height, width), "linear"))
