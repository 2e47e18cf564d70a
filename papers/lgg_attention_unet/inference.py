"""From slices of any size to tumour probabilities of the same size."""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, UInt8
from skimage.measure import label

from common.data.images import paste, resize_area
from common.data.loader import in_batches
from common.metrics.overlap import PatientOverlap, overlap
from papers.lgg_attention_unet.config import Config, EvaluateConfig
from papers.lgg_attention_unet.data import Part, Stack, network_input, scale, seen
from papers.lgg_attention_unet.model import AttentionUNet

THRESHOLDS = tuple(tenths / 10 for tenths in range(1, 10))

Images = UInt8[np.ndarray, "slices height width 3"]
Maps = Float32[np.ndarray, "slices height width"]


class Segmenter:
    """A trained network as a function of stacks.

    Its window of the pictures is brought to the network's size by the mean over areas;
    probabilities go back bilinearly, and are 0 outside of the window.
    """

    def __init__(self, network: AttentionUNet, config: Config):
        self._config = config
        graph, state = nnx.split(network)
        flips = config.evaluate.flips

        @jax.jit
        def probabilities(
            state: nnx.State, images: Float[Array, "batch height width 3"]
        ) -> tuple[Float[Array, "batch height width"], list[Array]]:
            network = nnx.merge(graph, state)
            logits, gates = network.with_gates(images)
            found = jax.nn.sigmoid(logits)
            if flips:
                found = (found + jax.nn.sigmoid(network(images[:, :, ::-1]))[:, :, ::-1]) / 2
            return found[..., 0], [gate[..., 0] for gate in gates]

        self._run = lambda images: probabilities(state, images)

    def __call__(self, stack: Stack) -> Maps:
        """Return the probability of tumour in every pixel of the stack's own pictures."""
        size = self._config.evaluate.batch_size
        found = in_batches(lambda images: self._run(images)[0], self._input(stack), size)
        return self._output(found, stack)

    def one(
        self, stack: Stack, index: int
    ) -> tuple[Float32[np.ndarray, "height width"], Float32[np.ndarray, "gates height width"]]:
        """Return one slice's probabilities and each gate's map, the deepest first."""
        found, gates = self._run(self._input(stack, slice(index, index + 1)))
        maps = [self._output(np.asarray(one), stack)[0] for one in (found, *gates)]
        return maps[0], np.stack(maps)[1:]

    def _input(
        self, stack: Stack, slices: slice = slice(None)
    ) -> Float32[np.ndarray, "slices height width 3"]:
        factor = scale(stack, self._config.train.normalize)
        return network_input(stack, self._config.data, slices) * factor

    def _output(self, maps: np.ndarray, stack: Stack) -> Maps:
        """Return maps of the network's or a gate's size in the place of the pictures' own."""
        rows, columns = around = seen(stack, self._config.data)
        size = (rows.stop - rows.start, columns.stop - columns.start)
        return paste(_resized(maps, *size), around, *stack.masks.shape[1:])


def marked(found: Maps, config: EvaluateConfig) -> Bool[np.ndarray, "slices height width"]:
    """Return which pixels of a patient's stack are tumour, given the probability of each.

    With `config.largest` only the largest connected part is kept, over slices and corners, as Buda
    et al. 2019 do.
    """
    masks = np.asarray(found >= config.threshold)
    if not config.largest or not masks.any():
        return masks
    parts = label(masks, connectivity=3)
    return np.asarray(parts == np.bincount(parts[masks]).argmax())


def best_threshold(part: Part, segment: Callable[[Stack], Maps], config: EvaluateConfig) -> float:
    """Return which of 0.1, 0.2 … 0.9 has the highest mean Dice of the part's patients with tumour.

    Of equally good ones the lowest; the config's own where no patient has a tumour.
    """
    ill = Part(tuple(one for one in part.stacks if one.masks.any()))
    if not ill.stacks:
        return config.threshold
    truth, owners = ill.masks, ill.owners.tolist()
    found = [segment(one) for one in ill.stacks]

    def mean_dice(threshold: float) -> float:
        chosen = replace(config, threshold=threshold)
        counts = overlap(np.concatenate([marked(one, chosen) for one in found]), truth, 2)
        return float(np.mean(PatientOverlap.of(counts, owners).counts.dice()[:, 1]))

    return max(THRESHOLDS, key=mean_dice)


def _resized(maps: np.ndarray, height: int, width: int) -> Float32[np.ndarray, "n height width"]:
    """Return maps at another size: bilinear, or area means where they become smaller."""
    if maps.shape[1:] == (height, width):
        return maps
    if height < maps.shape[1] or width < maps.shape[2]:
        return resize_area(maps, height, width)
    return np.asarray(jax.image.resize(jnp.asarray(maps), (len(maps), height, width), "linear"))
