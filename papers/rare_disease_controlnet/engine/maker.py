"""What a film's lineage says of the engine that drew it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx

from common.latent_diffusion.pipeline import Pipeline
from common.results import manifest
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.lineage import (
    Code,
    Engine,
    Lineage,
    Network,
    Platform,
    Spec,
)
from papers.rare_disease_controlnet.engine.assembly import engine_of
from papers.rare_disease_controlnet.engine.drawing import Request, draw
from papers.rare_disease_controlnet.networks import AUTOENCODER, CONTROLNET, adaptation
from papers.rare_disease_controlnet.prompts import NORMAL, prompt_of

STUDY = "rare_disease_controlnet"
PARTS = ("vae", "unet", "text", "controlnet")  # of a pipeline


@dataclass(frozen=True)
class Maker:
    """An engine with all that its films' lineages say of it."""

    pipeline: Pipeline
    config: Config
    engine: Engine
    code: Code
    platform: Platform

    @classmethod
    def of(
        cls, pipeline: Pipeline, config: Config, root: Path, data: str, keys: Mapping[str, str]
    ) -> Maker:
        """Return the maker of films by this pipeline.

        Args:
            pipeline: the engine.
            config: the whole study's.
            root: of the project, for the digest of its code.
            data: content hash of the data that it learned from.
            keys: which trainings its parts came of, see `keys_of`.
        """
        networks = tuple(
            Network(name, keys.get(name, ""), weights_digest(part))
            for name in PARTS
            if (part := getattr(pipeline, name)) is not None
        )
        return cls(
            pipeline,
            config,
            Engine(STUDY, data, networks),
            Code.of(manifest.code(root, draw, engine_of, png.encoded)),
            Platform.of(manifest.platform()),
        )

    def lineage(self, request: Request, content: bytes, prompt: str | None = None) -> Lineage:
        """Return the lineage of a film that was drawn as asked; `content` is its PNG file."""
        options = self.config.synthesis
        followed: Literal["none", "canny", "depth"] = "none"
        if request.depth is not None:
            followed = "depth"
        elif request.structure is not None:
            followed = "canny"
        label = " and ".join(request.findings) or NORMAL
        spec = Spec(
            label=label,
            side=request.side,
            extent=None if isnan(request.extent) else float(request.extent),
            prompt=prompt
            or prompt_of(request.findings, request.side, request.extent, self.config.engine.label),
            negative=options.negative,
            guidance=options.guidance,
            steps=options.steps,
            sampler=options.sampler,
            seed=int(request.seed),
            control=followed,
            strength=0.0 if followed == "none" else options.control,
            canny_low=float(options.canny_low),
            canny_high=float(options.canny_high),
            structure=_sha256(request.structure),
            region=None if request.region is None else _sha256(np.uint8(255) * request.region),
            size=self.config.data.size,
            batch_size=options.batch_size,
            depth=_sha256(request.depth),
        )
        return Lineage(spec, self.engine, self.code, self.platform, digest(content))


def keys_of(config: Config, count: int, training: Callable[[str], str]) -> dict[str, str]:
    """Return by which trainings the parts of an engine came to be, or the names of its weights.

    `count` is how many rare films it was adapted to; `training` names that of a network.
    """
    options = config.engine
    own = training(adaptation(count))
    if options.weights:
        named = {"vae": options.weights, "text": own, "unet": own}
        return named | {"controlnet": options.controlnet}
    vae, control = training(AUTOENCODER), training(CONTROLNET)
    return {"vae": vae, "unet": own, "text": own, "controlnet": control}


def weights_digest(network: Any) -> str:
    """Return the SHA-256 of a network's weights, by their names, types and values."""
    total = hashlib.sha256()
    for path, leaf in sorted(nnx.to_flat_state(nnx.state(network)), key=lambda one: str(one[0])):
        value = np.asarray(jax.device_get(leaf[...]))
        total.update(f"{'.'.join(map(str, path))} {value.dtype} {value.shape}\0".encode())
        total.update(value.tobytes())
    return total.hexdigest()


def _sha256(image: np.ndarray | None) -> str | None:
    return None if image is None else digest(png.encoded(image))
