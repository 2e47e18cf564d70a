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
        return self.with_gates(stack)[0]

    def with_gates(
        self, stack: Stack
    ) -> tuple[Float32[np.ndarray, "slices height width"], list[np.ndarray]]:
        """Return the probabilities, and each gate's map at the stack's size, the deepest first."""
        data, size = self._config.data, self._config.evaluate.batch_size
        images = network_input(stack.images, data.height, data.width)
        count = len(images)
        images = np.pad(images, ((0, -count % size), (0, 0), (0, 0), (0, 0)))
        factor = scale(stack, self._config.train.normalize)
        parts = [
            jax.device_get(self._run(images[start : start + size] * factor))
            for start in range(0, len(images), size)
        ]
        found = np.concatenate([part for part, _ in parts])[:count]
        gates = [np.concatenate(maps)[:count] for maps in zip(*(g for _, g in parts), strict=True)]
        height, width = stack.images.shape[1:3]
        return _enlarged(found, height, width), [_enlarged(gate, height, width) for gate in gates]


def _enlarged(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return maps at another size: bilinear, or area means where they become smaller."""
    if maps.shape[1:] == (height, width):
        return maps
    if height < maps.shape[1] or width < maps.shape[2]:
        return resize_area(maps, height, width)
    return np.asarray(jax.image.resize(jnp.asarray(maps), (len(maps), height, width), "linear"))
