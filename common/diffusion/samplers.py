"""Samplers: the reverse process from noise to data, one evaluation of the network after another.

A `Sampler` says at which times the network is evaluated and what each evaluation changes; the loop
around it is `common.diffusion.sampling`. `DDPM` and `DDIM` look at one evaluation at a time; a
multistep solver keeps in its state what earlier ones predicted. Notation of
`common.diffusion.schedule`; every step first estimates the data,

    (1)  x0 = (x_t - sqrt(1 - alphabar_t) eps) / sqrt(alphabar_t)                      Ho eq. 15

clipped to [-clip, clip] where asked. The ancestral step (Ho et al. 2020, arXiv:2006.11239) then
draws from the posterior q(x_{t-1} | x_t, x0), whose variance is MONAI's "fixed small":

    (2)  mean = sqrt(alphabar_{t-1}) beta_t / (1 - alphabar_t) x0
              + sqrt(alpha_t) (1 - alphabar_{t-1}) / (1 - alphabar_t) x_t              Ho eq. 7
    (3)  variance = (1 - alphabar_{t-1}) / (1 - alphabar_t) beta_t                     Ho eq. 7

The DDIM step (Song et al. 2021, arXiv:2010.02502) goes from time t to any earlier time s:

    (4)  sigma = eta sqrt((1 - alphabar_s) / (1 - alphabar_t)) sqrt(1 - alphabar_t / alphabar_s)
                                                                                       Song eq. 16
    (5)  x_s = sqrt(alphabar_s) x0 + sqrt(1 - alphabar_s - sigma^2) eps + sigma z      Song eq. 12

Both match MONAI GenerativeModels 0.2.3 (`DDPMScheduler`, `DDIMScheduler`), which keeps the
predicted eps in (5) as it is where x0 was clipped.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from common.diffusion.schedule import Schedule

Time = Int[Array, ""] | int
Images = Float[Array, "batch height width channels"]


@runtime_checkable
class Sampler(Protocol):
    """A solver of the reverse process: a pytree, because it is an argument of compiled programs.

    What decides the program (a number of steps, a flag) is static in it, tables may be arrays.
    """

    @property
    def times(self) -> Int[np.ndarray, " evaluations"]:
        """The time index of every evaluation of the network, from noise to data."""
        ...

    @property
    def stochastic(self) -> bool:
        """Whether `update` needs fresh noise; where not, none is drawn."""
        ...

    def init(self, noise: Images) -> Any:
        """Return the state before the first evaluation: a pytree whose `x` the network sees."""
        ...

    def update(
        self, schedule: Schedule, state: Any, eps: Images, index: Time, noise: Images | None
    ) -> Any:
        """Return the state after evaluation `index`, which predicted `eps` in ``state.x``."""
        ...

    def finalize(self, state: Any) -> Images:
        """Return the images that a state stands for; after the last update, the result."""
        ...


class State(NamedTuple):
    """What a sampler keeps that looks at one evaluation at a time: what the network sees next."""

    x: Images


class _SingleStep:
    """The state of samplers that look at one evaluation at a time."""

    def init(self, noise: Images) -> State:
        """Return the state before the first evaluation."""
        return State(noise)

    def finalize(self, state: State) -> Images:
        """Return the images that a state stands for."""
        return state.x


@jax.tree_util.register_static
@dataclass(frozen=True)
class DDPM(_SingleStep):
    """Ancestral sampling over the whole schedule: (2) and (3)."""

    train_steps: int = 1000  # of the schedule
    clip: float | None = 1.0  # estimates of the data to [-clip, clip]; None: not at all

    @property
    def times(self) -> Int[np.ndarray, " steps"]:
        """Every time of the schedule."""
        return np.arange(self.train_steps, dtype=np.int32)[::-1]

    @property
    def stochastic(self) -> bool:
        """True."""
        return True

    def update(
        self, schedule: Schedule, state: State, eps: Images, index: Time, noise: Images | None
    ) -> State:
        """Return the state after evaluation `index`."""
        assert noise is not None
        t = jnp.asarray(self.times)[index]
        return State(ddpm_step(schedule, eps, t, state.x, noise, self.clip))


@jax.tree_util.register_static
@dataclass(frozen=True)
class DDIM(_SingleStep):
    """Song et al.'s sampler of `steps` steps: (4) and (5), at the times of `ddim_times`."""

    steps: int
    eta: float = 0.0  # 0: deterministic; 1: as much fresh noise as ancestral sampling
    train_steps: int = 1000  # of the schedule
    offset: int = 0
    last: int = -1
    clip: float | None = 1.0  # estimates of the data to [-clip, clip]; None: not at all

    @property
    def times(self) -> Int[np.ndarray, " steps"]:
        """The visited times."""
        return ddim_times(self.train_steps, self.steps, self.offset, self.last)[0]

    @property
    def stochastic(self) -> bool:
        """Whether `eta` is above 0."""
        return self.eta > 0

    def update(
        self, schedule: Schedule, state: State, eps: Images, index: Time, noise: Images | None
    ) -> State:
        """Return the state after evaluation `index`."""
        times = ddim_times(self.train_steps, self.steps, self.offset, self.last)
        t, t_prev = (jnp.asarray(each)[index] for each in times)
        return State(ddim_step(schedule, eps, t, t_prev, state.x, self.eta, self.clip, noise))


def predicted_x0(
    schedule: Schedule,
    eps: Float[Array, "*shape"],
    t: Time,
    x: Float[Array, "*shape"],
    clip: float | None = 1.0,
) -> Float[Array, "*shape"]:
    """Return the data that `x` at time `t` and the noise `eps` imply: equation (1)."""
    alpha_bar = schedule.alpha_bar(t)
    x0 = (x - jnp.sqrt(1 - alpha_bar) * eps) / jnp.sqrt(alpha_bar)
    return x0 if clip is None else jnp.clip(x0, -clip, clip)


def ddpm_step(
    schedule: Schedule,
    eps: Float[Array, "*shape"],
    t: Time,
    x: Float[Array, "*shape"],
    noise: Float[Array, "*shape"],
    clip: float | None = 1.0,
) -> Float[Array, "*shape"]:
    """Return `x` at time ``t - 1`` from `x` at time `t` and standard normal `noise`: (2) and (3).

    At t = 0 the variance is zero: the noise has no effect and the estimate of the data comes back.
    """
    alpha_bar, alpha_bar_prev = schedule.alpha_bar(t), schedule.alpha_bar(t - 1)
    beta = schedule.betas[t]
    data_weight = jnp.sqrt(alpha_bar_prev) * beta / (1 - alpha_bar)
    x_weight = jnp.sqrt(1 - beta) * (1 - alpha_bar_prev) / (1 - alpha_bar)
    variance = (1 - alpha_bar_prev) / (1 - alpha_bar) * beta
    mean = data_weight * predicted_x0(schedule, eps, t, x, clip) + x_weight * x
    return mean + jnp.sqrt(variance) * noise


def ddim_step(
    schedule: Schedule,
    eps: Float[Array, "*shape"],
    t: Time,
    t_prev: Time,
    x: Float[Array, "*shape"],
    eta: float = 0.0,
    clip: float | None = 1.0,
    noise: Float[Array, "*shape"] | None = None,
) -> Float[Array, "*shape"]:
    """Return `x` at time `t_prev` (-1: the data) from `x` at time `t`: (4) and (5).

    `eta` = 0 is deterministic; above 0 it needs standard normal `noise`, else ValueError.
    """
    alpha_bar, alpha_bar_prev = schedule.alpha_bar(t), schedule.alpha_bar(t_prev)
    x0 = predicted_x0(schedule, eps, t, x, clip)
    if eta == 0:
        return jnp.sqrt(alpha_bar_prev) * x0 + jnp.sqrt(1 - alpha_bar_prev) * eps
    if noise is None:
        raise ValueError(f"eta = {eta} needs noise")
    variance = (1 - alpha_bar_prev) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_prev)
    direction = jnp.sqrt(1 - alpha_bar_prev - eta**2 * variance) * eps
    return jnp.sqrt(alpha_bar_prev) * x0 + direction + eta * jnp.sqrt(variance) * noise


def ddim_times(
    train_steps: int, steps: int, offset: int = 0, last: int = -1
) -> tuple[Int[np.ndarray, " steps"], Int[np.ndarray, " steps"]]:
    """Return the times a DDIM of `steps` steps visits, from noise to data, and where each leads.

    MONAI's spacing: multiples of ``train_steps // steps`` plus `offset`, and the last step leads
    to the data (`last` = -1). Stable Diffusion's is `offset` = 1 and `last` = 0, MONAI's
    ``set_alpha_to_one=False``. ValueError where there are more steps than in training.
    """
    if not 1 <= steps <= train_steps:
        raise ValueError(f"{steps} DDIM steps of a schedule of {train_steps}")
    times = np.arange(steps)[::-1] * (train_steps // steps) + offset
    return times.astype(np.int32), np.append(times[1:], last).astype(np.int32)
