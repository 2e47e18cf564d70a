"""From slices of any size to tumour probabilities of the same size."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, UInt8

from common.data.images import resize_area
from papers.lgg_attention_unet.config import Config
from papers.lgg_attention_unet.data import Stack, network_input, scale
from papers.lgg_attention_unet.model import AttentionUNet

Images = UInt8[np.ndarray, "slices height width 3"]


class Segmenter:
    """A trained network as a function of stacks.

    Slices are brought to the network's size by the mean over areas; probabilities go back
    bilinearly. The last batch is filled up, so that one program is compiled.
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

    def __call__(self, stack: Stack) -> Float32[np.ndarray, "slices height width"]:
        """Return the probability of tumour in every pixel of the stack's own size."""
        images, size = self._input(stack, slice(None)), self._config.evaluate.batch_size
        padded = np.pad(images, ((0, -len(images) % size), (0, 0), (0, 0), (0, 0)))
        starts = range(0, len(padded), size)
        parts = [np.asarray(self._run(padded[start : start + size])[0]) for start in starts]
        return _resized(np.concatenate(parts)[: len(images)], *stack.masks.shape[1:])

    def one(
        self, stack: Stack, index: int
    ) -> tuple[Float32[np.ndarray, "height width"], Float32[np.ndarray, "gates height width"]]:
        """Return one slice's probabilities and each gate's map, the deepest first."""
        found, gates = self._run(self._input(stack, slice(index, index + 1)))
        size = stack.masks.shape[1:]
        maps = [_resized(np.asarray(one), *size)[0] for one in (found, *gates)]
        return maps[0], np.stack(maps)[1:]

    def _input(self, stack: Stack, chosen: slice) -> Float32[np.ndarray, "slices height width 3"]:
        data, factor = self._config.data, scale(stack, self._config.train.normalize)
        return network_input(stack.images[chosen], data.height, data.width) * factor


def _resized(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return maps at another size: bilinear, or area means where they become smaller."""
    if maps.shape[1:] == (height, width):
        return maps
    if height < maps.shape[1] or width < maps.shape[2]:
        return resize_area(maps, height, width)
    return np.asarray(jax.image.resize(jnp.asarray(maps), (len(maps), height, width), "linear"))
