"""Every network of the five studies against its golden values, for `experiments.benchmarks.gpu`.

Imported after `xla.configure()`. Networks, weights and inputs are those that the tests make, so
pytest must be installed. An error is the largest difference, as a share of the values' range.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from papers.rare_disease_controlnet.classifier.model import Classifier
from papers.rare_disease_controlnet.config import ClassifierConfig
from papers.surgical_vision.models import starganv2
from papers.ultrasound_diconvae.models.denoiser import DiConvAE
from papers.ultrasound_diconvae.models.segnet import SegNet
from tests.common.latent_diffusion import golden as latent
from tests.papers.camcan_cfg import test_unet as camcan
from tests.papers.lgg_attention_unet import test_model as lgg
from tests.papers.rare_disease_controlnet import test_classifier as classifier
from tests.papers.surgical_vision import test_models_golden as surgical
from tests.papers.surgical_vision import test_starganv2 as styled
from tests.papers.ultrasound_diconvae import test_models as ultrasound

HALF: Any = "bfloat16"
TIMES = np.array([3, 977], np.int32)


@dataclass(frozen=True)
class Check:
    """A network, the like of it in bfloat16 without weights, and what it is to compute."""

    network: Any
    half: Callable[[], Any]
    call: Callable[[Any], Any]  # one output or a tuple of them
    expected: tuple[np.ndarray, ...]
    shown: Callable[[Any], Any] = np.asarray  # what was recorded of an output


def check(name: str) -> dict[str, Any]:
    """Return how far `float32` is from the golden values, and `bfloat16` from that.

    And whether two calls in float32 give the `same_bits`.
    """
    made = CHECKS[name]()
    first, again = _outputs(made.call, made.network, 2)
    network = nnx.merge(nnx.graphdef(nnx.eval_shape(made.half)), nnx.state(made.network))
    (half,) = _outputs(made.call, network, 1)
    pairs = zip(first, made.expected, strict=True)
    return {
        "float32": max(_error(made.shown(ours), theirs) for ours, theirs in pairs),
        "same_bits": all(map(np.array_equal, first, again)),
        "bfloat16": max(map(_error, half, first)),
    }


def _outputs(call: Callable, network: Any, times: int) -> list[list[np.ndarray]]:
    """Return what a network computes, as often as asked."""
    graph, state = nnx.split(network)
    program = jax.jit(lambda state: jax.tree.leaves(call(nnx.merge(graph, state))))
    return [[np.asarray(output, np.float32) for output in program(state)] for _ in range(times)]


def _error(ours: Any, theirs: np.ndarray) -> float:
    ours = np.asarray(ours, np.float64).reshape(np.shape(theirs))
    return float(np.abs(ours - theirs).max() / np.ptp(theirs))


def _unet(name: str) -> Check:
    config = camcan.CONFIGS[name]
    return Check(
        camcan.loaded(config, camcan.monai_weights(name)),
        lambda: camcan.UNet(replace(config, dtype=HALF), rngs=nnx.Rngs(0)),
        lambda network: network(*camcan.INPUTS),
        (camcan.GOLDEN[f"{name}_output"],),
    )


def _attention_unet() -> Check:
    config = replace(lgg.SMALL, dtype=HALF)
    return Check(
        nnx.merge(*lgg.parts()),
        lambda: lgg.AttentionUNet(config, rngs=nnx.Rngs(0)),
        lambda network: jax.nn.sigmoid(network(lgg.IMAGES)),
        (lgg.GOLDEN["output"],),
    )


def _ultrasound(name: str) -> Check:
    halves = {
        "denoiser": lambda: DiConvAE(replace(ultrasound.DENOISER, dtype=HALF), rngs=nnx.Rngs(0)),
        "segmenter": lambda: SegNet(replace(ultrasound.SEGMENTER, dtype=HALF), 4, rngs=nnx.Rngs(0)),
    }
    return Check(
        nnx.merge(*ultrasound.parts(name)),
        halves[name],
        lambda network: network(ultrasound.IMAGES),
        (ultrasound.GOLDEN[f"{name}/output"],),
    )


def _surgical(name: str) -> Check:
    build, _, shape = surgical.NETWORKS[name]
    x = jnp.asarray(surgical.drawn(shape, 1))
    keys = [f"{name}/output", f"{name}/output1"]
    return Check(
        nnx.merge(nnx.graphdef(surgical.abstract(name)), surgical.seeded(name, 0)),
        lambda: build(rngs=nnx.Rngs(0), dtype=jnp.bfloat16),
        lambda network: surgical.outputs_of(name, network, x),
        tuple(surgical.GOLDEN[key] for key in keys if key in surgical.GOLDEN),
    )


def _styled(name: str) -> Check:
    halves: Mapping[str, Callable] = {
        "generator": partial(starganv2.Generator, 48, style=5, **styled.SMALL),
        "mapping": partial(starganv2.MappingNetwork, 3, latent=3, style=5, hidden=7),
        "encoder": partial(starganv2.StyleEncoder, 48, 3, style=5, **styled.SMALL),
        "discriminator": partial(starganv2.Discriminator, 48, 3, **styled.SMALL),
    }
    images, noise, styles = styled.inputs()
    given = {"generator": (images, styles), "mapping": (noise, styled.WANTED)}
    return Check(
        nnx.merge(*styled.parts(name)),
        lambda: halves[name](dtype=jnp.bfloat16, rngs=nnx.Rngs(0)),
        lambda network: network(*given.get(name, (images, styled.WANTED))),
        (styled.GOLDEN[name],),
    )


def _diffusion(part: Any) -> Check:
    whole = latent.TINY
    config = replace(
        whole, unet=replace(whole.unet, dtype=HALF), vae=replace(whole.vae, dtype=HALF)
    )
    inputs = latent.draw(1, 2, 4, 8, 8), TIMES, latent.draw(2, 2, 77, 32)
    half = lambda: latent.abstract(part, config)  # noqa: E731
    if part == "vae":
        decode, z = (lambda network: network.decode(z)), latent.draw(5, 2, 4, 8, 8)
        shown = partial(latent.thinned, count=2048)
        return Check(latent.network(part), half, decode, (latent.GOLDEN["vae_decoded"],), shown)
    network = latent.network(part)
    return Check(network, half, lambda network: network(*inputs), (latent.GOLDEN["unet"],))


def _controlnet() -> Check:
    x, times, context = latent.draw(1, 2, 4, 8, 8), TIMES, latent.draw(2, 2, 77, 32)
    hint = np.random.RandomState(3).random_sample((2, 3, 64, 64)).astype(np.float32)
    hint = hint.transpose(0, 2, 3, 1)
    parts: tuple[Any, ...] = ("controlnet", "unet")
    config = replace(latent.TINY, unet=replace(latent.TINY.unet, dtype=HALF))

    def call(pair: Any) -> jax.Array:
        controlnet, network = pair
        encoded = controlnet.encode_hint(hint)
        return network(x, times, context, controlnet(x, times, context, encoded, 1.0, False))

    return Check(
        nnx.List([latent.network(part) for part in parts]),
        lambda: nnx.List([latent.abstract(part, config) for part in parts]),
        call,
        (latent.GOLDEN["controlled/1"],),
    )


def _classifier(stem: Any) -> Check:
    with np.load(classifier.GOLDEN / "resnet.npz") as golden:
        x, expected = jnp.asarray(golden["x"]), golden[f"{stem}_test"]
    sizes: Any = {"channels": classifier.CHANNELS, "blocks": (2, 2, 2), "stem": stem}
    return Check(
        classifier.loaded(stem),
        lambda: Classifier(ClassifierConfig(**sizes, dtype=HALF), 4, rngs=nnx.Rngs(0)),
        lambda network: network(x),
        (expected,),
    )


# in the order in which they matter: a time limit loses the last
CHECKS: dict[str, Callable[[], Check]] = {
    "camcan U-Net, published": partial(_unet, "published"),
    "lgg Attention U-Net": _attention_unet,
    "ultrasound denoiser": partial(_ultrasound, "denoiser"),
    "ultrasound segmenter": partial(_ultrasound, "segmenter"),
    "latent diffusion, U-Net": partial(_diffusion, "unet"),
    "latent diffusion, ControlNet and U-Net": _controlnet,
    "latent diffusion, VAE's decoder": partial(_diffusion, "vae"),
    "rare disease classifier": partial(_classifier, "imagenet"),
    **{f"surgical {name}": partial(_surgical, name) for name in surgical.NETWORKS},
    **{f"surgical StarGANv2 {name}": partial(_styled, name) for name in styled.NETWORKS},
    "camcan U-Net, small": partial(_unet, "small"),
}
