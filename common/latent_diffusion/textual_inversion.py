"""Learned embeddings (textual inversion, Gal et al. 2022, arXiv:2208.01618): new words of a prompt.

A file holds the vectors, one or several, that stand for one placeholder. Read are diffusers' files,
which name it, and those of AUTOMATIC1111's web UI (``string_to_param``, ``emb_params``), which do
not, or in a part of a pickle that is not read. Equal to diffusers' `load_textual_inversion`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from common.errors import InputError
from common.latent_diffusion.clip_text import TextEncoder
from common.latent_diffusion.pipeline import Pipeline
from common.latent_diffusion.tokenizer import Tokenizer
from common.pretrained.registered import registered_path
from common.pretrained.tensor_files import TensorFile, open_tensors

_WEB_UI = "string_to_param."  # what its checkpoints have around the vectors
_UNNAMED = ("", "*", "emb_params")  # a lone tensor, and what the web UI calls every one


def load_embedding(pipeline: Pipeline, path: str | Path, token: str | None = None) -> Pipeline:
    """Return a pipeline that also knows the word in a file; the given one is as it was.

    All other weights are shared, U-Net and VAE among them.

    Args:
        pipeline: whose tokenizer and text encoder are extended.
        path: of the file, or the name that it was registered under.
        token: what a prompt calls the word, in place of what the file does.

    Raises:
        InputError: the file holds no embedding or several, or one of another model; the token is
            given nowhere, or exists already.
    """
    with open_tensors(registered_path(path)) as tensors:
        named, vectors = _embedding(tensors, pipeline.config.text.features)
        path = tensors.path
    token = named if token is None else token
    if token is None:
        raise InputError(f"{path}: does not name its token; give one, such as token='<film>'")
    try:
        tokenizer = pipeline.tokenizer.with_tokens({token: len(vectors)})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    text = replace(pipeline.config.text, vocabulary=tokenizer.size)
    return replace(
        pipeline,
        config=replace(pipeline.config, text=text),
        tokenizer=tokenizer,
        text=extended(pipeline.text, pipeline.tokenizer, vectors),
    )


def _embedding(
    tensors: TensorFile, features: int
) -> tuple[str | None, Float[np.ndarray, "vectors features"]]:
    """Return the token that a file names, if it does, and its vectors."""
    inside = [name for name in tensors if name.startswith(_WEB_UI)]
    names = inside or list(tensors)
    if len(names) > 1:
        listed = ", ".join(repr(name[:200]) for name in names[:3])
        raise InputError(
            f"{tensors.path}: {len(names)} tensors, among them {listed}; expected the embedding of "
            "one token for Stable Diffusion 1"
        )
    (name,) = names
    shape = tensors.shape(name)
    if len(shape) not in (1, 2) or shape[-1] != features or 0 in shape:
        raise InputError(
            f"{tensors.path}: {name[:200]!r} has the shape {shape}, expected ({features},) or "
            f"(vectors, {features}); give an embedding of this model"
        )
    return None if inside or name in _UNNAMED else name, np.atleast_2d(tensors[name])


def extended(
    text: TextEncoder, tokenizer: Tokenizer, vectors: Float[np.ndarray, "vectors features"]
) -> TextEncoder:
    """Return a text encoder with more rows, which begin where the ids of the tokenizer end.

    All other weights are shared. Raises InputError where it has fewer rows than the tokenizer ids.
    """
    made = nnx.clone(text)  # of the modules; arrays never change, and are shared
    rows = text.tokens.embedding[...]
    if len(rows) < tokenizer.size:
        raise InputError(
            f"text encoder: {len(rows)} embeddings for the tokenizer's {tokenizer.size} tokens; "
            "load a model whose parts belong together"
        )
    rows = jnp.concatenate([rows[: tokenizer.size], jnp.asarray(vectors, rows.dtype)])
    made.tokens.embedding = nnx.Param(rows)
    made.tokens.num_embeddings = len(rows)
    return made
