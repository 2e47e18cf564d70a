"""A U-Net with its ControlNet as one function that predicts noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from common.diffusion.schedule import Schedule, noise_of_velocity
from common.diffusion.unet.unet import Residuals, UNet
from common.latent_diffusion.controlnet import ControlNet


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["unet", "controlnet", "schedule"],
    meta_fields=["prediction", "guess"],
)
@dataclass(frozen=True)
class Denoiser:
    """The U-Net with its ControlNet as a function that predicts noise: a pytree.

    `guess` says whose residuals are computed: of all rows, or in guess mode of all, or of the
    second row of each pair alone, as guidance makes them.
    """

    unet: UNet
    controlnet: ControlNet | None
    schedule: Schedule
    prediction: Literal["epsilon", "v_prediction"]
    guess: Literal["no", "all", "conditional"] = "no"

    def __call__(
        self,
        x: Float[Array, "batch rows columns channels"],
        t: Int[Array, " batch"],
        condition: dict[str, Array],
        weight: Float[Array, ""] | None = None,
    ) -> Float[Array, "batch rows columns channels"]:
        """Return the predicted noise; `weight` is the ControlNet's at this step."""
        residuals = None
        if self.controlnet is not None and weight is not None:
            residuals = self._residuals(self.controlnet, x, t, condition, weight)
        out = self.unet(x, t, condition["context"], residuals)
        return out if self.prediction == "epsilon" else noise_of_velocity(self.schedule, out, x, t)

    def _residuals(
        self, controlnet: ControlNet, x: Array, t: Array, condition: dict[str, Array], weight: Array
    ) -> Residuals:
        context, hint = condition["context"], condition["hint"]
        if self.guess != "conditional":
            return controlnet(x, t, context, hint, weight, self.guess == "all")
        residuals = controlnet(x[1::2], t[1::2], context[1::2], hint[1::2], weight, True)
        return jax.tree.map(
            lambda rows: jnp.stack([jnp.zeros_like(rows), rows], 1).reshape(-1, *rows.shape[1:]),
            residuals,
        )
