"""The noise schedule of a diffusion model, after Ho et al. 2020 (DDPM, arXiv:2006.11239).

With ``alpha_t = 1 - beta_t`` and ``alphabar_t = alpha_1 ... alpha_t``:

    (1)  q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I)                      Ho eq. 2
    (2)  x_t = sqrt(alphabar_t) x_0 + sqrt(1 - alphabar_t) eps,   eps ~ N(0, I)        Ho eq. 4

A network may predict eps, or the velocity of Salimans & Ho 2022 (arXiv:2202.00512), which is the
data where noise is all there is and so keeps what eps cannot tell there, such as brightness:

    (3)  v = sqrt(alphabar_t) eps - sqrt(1 - alphabar_t) x_0               Salimans & Ho, section 4
    (4)  eps = sqrt(alphabar_t) v + sqrt(1 - alphabar_t) x_t

A time is an index 0 ... steps - 1 into the tables, so index ``t`` is the paper's ``t + 1``; the
index -1 is the data itself, with ``alphabar = 1``.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Schedule:
    """Tables of ``beta_t`` and ``alphabar_t``; a pytree, so it may be an argument of a jit."""

    betas: Float[Array, " steps"]
    alphas_cumprod: Float[Array, " steps"]

    @classmethod
    def linear(
        cls, steps: int = 1000, beta_start: float = 1e-4, beta_end: float = 2e-2
    ) -> "Schedule":
        """Return equally spaced betas: Ho et al. 2020, section 4, and MONAI's `linear_beta`.

        The alphas are rounded to float32 before their product is taken, as MONAI does: near the
        data 1 - alphabar is so small that the rounding changes the steps by 3e-4.
        """
        betas = np.linspace(beta_start, beta_end, steps).astype(np.float32)
        product = np.cumprod(np.float32(1) - betas, dtype=np.float64)
        return cls(jnp.asarray(betas), jnp.asarray(product, jnp.float32))

    @classmethod
    def scaled_linear(
        cls, steps: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012
    ) -> "Schedule":
        """Return betas with equally spaced roots: Stable Diffusion's, and diffusers'.

        The tables are diffusers' to the last bit: the roots are `_torch_linspace`, everything else
        is rounded as in `linear`.
        """
        betas = np.square(_torch_linspace(beta_start**0.5, beta_end**0.5, steps))
        product = np.cumprod(np.float32(1) - betas, dtype=np.float64)
        return cls(jnp.asarray(betas), jnp.asarray(product, jnp.float32))

    @property
    def steps(self) -> int:
        """Number of noise levels."""
        return self.betas.shape[0]

    def alpha_bar(self, t: Int[Array, "..."] | int) -> Float[Array, "..."]:
        """Return ``alphabar_t``; 1 for t = -1, the data."""
        t = jnp.asarray(t)
        return jnp.where(t < 0, 1.0, self.alphas_cumprod[jnp.maximum(t, 0)])


def add_noise(
    schedule: Schedule,
    x0: Float[Array, "batch height width channels"],
    noise: Float[Array, "batch height width channels"],
    t: Int[Array, " batch"],
) -> Float[Array, "batch height width channels"]:
    """Return ``x_t`` from data `x0` and standard normal `noise`: equation (2)."""
    signal, spread = _weights(schedule, x0, t)
    return signal * x0 + spread * noise


def velocity(
    schedule: Schedule,
    x0: Float[Array, "batch height width channels"],
    noise: Float[Array, "batch height width channels"],
    t: Int[Array, " batch"],
) -> Float[Array, "batch height width channels"]:
    """Return ``v`` of data `x0` and standard normal `noise`: equation (3)."""
    signal, spread = _weights(schedule, x0, t)
    return signal * noise - spread * x0


def noise_of_velocity(
    schedule: Schedule,
    v: Float[Array, "batch height width channels"],
    x: Float[Array, "batch height width channels"],
    t: Int[Array, " batch"],
) -> Float[Array, "batch height width channels"]:
    """Return the noise in `x` at time `t` that the velocity `v` implies: equation (4)."""
    signal, spread = _weights(schedule, x, t)
    return signal * v + spread * x


def _weights(schedule: Schedule, x: Array, t: Array) -> tuple[Array, Array]:
    alpha_bar = schedule.alpha_bar(t).reshape(-1, *(1,) * (x.ndim - 1))
    return jnp.sqrt(alpha_bar), jnp.sqrt(1 - alpha_bar)


def _torch_linspace(start: float, stop: float, count: int) -> Float[np.ndarray, " count"]:
    """Return the float32 numbers of PyTorch 2.13's `linspace`, each rounded once.

    Its spacing is rounded too, and it counts from whichever end is nearer.
    """
    first, last = np.float64(np.float32(start)), np.float64(np.float32(stop))
    spacing = np.float64((np.float32(last) - np.float32(first)) / np.float32(max(count - 1, 1)))
    index = np.arange(count)
    from_last = last - spacing * (count - 1 - index)
    return np.where(index < count // 2, first + spacing * index, from_last).astype(np.float32)
