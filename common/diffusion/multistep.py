"""Multistep samplers: a step of a higher order by what earlier evaluations predicted.

Notation of `common.diffusion.schedule`, and eq. (1) of `common.diffusion.samplers`. Both samplers
match diffusers 0.42.1 as it runs Stable Diffusion. What they do at a step follows from the number
of updates since `init`, not from its index: a process that begins in the middle warms up there.

PNDM (Liu et al. 2022, arXiv:2202.09778) goes from time t to s as DDIM does, by a mean of noises:

    (1)  x_s = sqrt(alphabar_s / alphabar_t) x_t + (sqrt(1 - alphabar_s)
               - sqrt(alphabar_s (1 - alphabar_t) / alphabar_t)) e                      Liu eq. 9
    (2)  e = (55 eps_t - 59 eps_{t+d} + 37 eps_{t+2d} - 9 eps_{t+3d}) / 24              Liu eq. 12

with lower orders of (2) until there are four noises. In place of the paper's Runge-Kutta steps the
first step is taken twice, the second time by the mean of the noises at its two ends.

UniPC (Zhao et al. 2023, arXiv:2302.04867) predicts data, m_t, and has order 2 and its B_2(h). With
lambda = log sqrt(alphabar / (1 - alphabar)), a step from s to t with h = lambda_t - lambda_s and
G = sqrt(alphabar_t) (1 - e^-h), and the step before from r with k = (lambda_r - lambda_s) / h:

    (3)  x_t = sqrt((1 - alphabar_t) / (1 - alphabar_s)) x_s
               + G (m_s + (m_r - m_s) / (2 k))                                Zhao, corollary 3.2

Once the network has seen this x_t, the same step is taken anew, corrected:

    (4)  x_t = sqrt((1 - alphabar_t) / (1 - alphabar_s)) x_s
               + G (m_s + a (m_r - m_s) / k + b (m_t - m_s))                  Zhao, theorem 3.1
    (5)  a + b = 1 / (1 - e^-h) - 1 / h
         k a + b = 1 / (1 - e^-h) - 2 (a + b) / h

Order 1 is (3) without its last term and (4) with a = 0 and b = 1/2: at the first step, and in (3)
also at the last one, which leads to the data, x_t = m_s.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from common.diffusion.samplers import Images, Time, ddim_times, predicted_x0
from common.diffusion.schedule import Schedule
from common.errors import InputError, nearest

Spacing = Literal["linspace", "leading", "trailing"]
_OFFSET = 1  # of the times, as Stable Diffusion's schedulers have it
_STATIC: Any = {"static": True}

# (2) for the noise at hand and the three before: at the first evaluation since `init`, at the
# second, which takes the first step anew, at the third, the fourth and from the fifth on
_PNDM_WEIGHTS = np.array(
    [
        [1, 0, 0, 0],
        [1 / 2, 1 / 2, 0, 0],
        [3 / 2, -1 / 2, 0, 0],
        [23 / 12, -16 / 12, 5 / 12, 0],
        [55 / 24, -59 / 24, 37 / 24, -9 / 24],
    ],
    np.float32,
)


class _Multistep:
    """What the samplers here have in common."""

    @property
    def stochastic(self) -> bool:
        """False."""
        return False

    def finalize(self, state: Any) -> Images:
        """Return the images that a state stands for."""
        return state.x


class PNDMState(NamedTuple):
    """What the network sees next, the images to begin with, and the noises before, newest first."""

    x: Images
    first: Images
    before: tuple[Images, Images, Images]
    updates: Int[Array, ""]  # since `init`


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PNDM(_Multistep):
    """Liu et al.'s sampler, (1) and (2): `steps` + 1 evaluations, or one where `steps` is 1.

    A process that begins after the first evaluation is diffusers' too: its first step is taken
    twice wherever it begins, so that from then on the network is told the time a step further on,
    and the images end with the noise of the last time but one. For image to image prefer another.
    """

    transfer: Float[Array, "2 evaluations 2"]  # (1) from x and e: the step, the one taken anew
    steps: int = field(metadata=_STATIC)
    train_steps: int = field(metadata=_STATIC)  # of the schedule

    @classmethod
    def of(cls, schedule: Schedule, steps: int) -> "PNDM":
        """Return the sampler with the tables of `schedule`; InputError where `steps` do not fit."""
        _check_steps(steps, schedule.steps - _OFFSET)
        times = _pndm_times(schedule.steps, steps)
        spacing = schedule.steps // steps
        alpha_bar = np.asarray(schedule.alphas_cumprod, np.float64)
        # no step leads past time 0, and none is taken anew at the first evaluation
        after = alpha_bar[np.maximum(times - spacing, 0)]
        ahead = alpha_bar[np.minimum(times + spacing, schedule.steps - 1)]
        here = alpha_bar[times]
        transfer = np.stack([_transfer(here, after), _transfer(ahead, here)])
        return cls(jnp.asarray(transfer, jnp.float32), steps, schedule.steps)

    @property
    def times(self) -> Int[np.ndarray, " evaluations"]:
        """DDIM's times, the second of them twice."""
        return _pndm_times(self.train_steps, self.steps)

    def init(self, noise: Images) -> PNDMState:
        """Return the state before the first evaluation."""
        nothing = jnp.zeros_like(noise)
        return PNDMState(noise, noise, (nothing, nothing, nothing), jnp.int32(0))

    def update(
        self, schedule: Schedule, state: PNDMState, eps: Images, index: Time, noise: Images | None
    ) -> PNDMState:
        """Return the state after evaluation `index`."""
        anew = state.updates == 1
        weights = jnp.asarray(_PNDM_WEIGHTS)[jnp.minimum(state.updates, 4)]
        mean = _combined(weights, (eps, *state.before))
        x = jnp.where(anew, state.first, state.x)
        x = _combined(self.transfer[anew.astype(int), index], (x, mean))
        kept = (eps, *state.before[:2])
        before = jax.tree.map(lambda old, new: jnp.where(anew, old, new), state.before, kept)
        return PNDMState(x, state.first, before, state.updates + 1)


class UniPCState(NamedTuple):
    """What the network sees next, and of the two steps before it what (4) starts from.

    `start` are the corrected images that the last step began with, `data` the estimates of the
    data there and a step earlier.
    """

    x: Images
    start: Images
    data: tuple[Images, Images]
    updates: Int[Array, ""]  # since `init`


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class UniPC(_Multistep):
    """Zhao et al.'s sampler of order 2, (3) to (5), of `steps` evaluations."""

    corrector: Float[Array, "3 steps 5"]  # orders 0, 1, 2; from x and what (4) starts from
    predictor: Float[Array, "2 steps 3"]  # orders 1, 2; from x, m_s, m_r
    steps: int = field(metadata=_STATIC)
    spacing: Spacing = field(metadata=_STATIC)
    train_steps: int = field(metadata=_STATIC)  # of the schedule

    @classmethod
    def of(cls, schedule: Schedule, steps: int, spacing: Spacing = "linspace") -> "UniPC":
        """Return the sampler with the tables of `schedule`, at the times of `unipc_times`."""
        times = unipc_times(schedule.steps, steps, spacing)
        tables = _unipc_tables(np.asarray(schedule.alphas_cumprod, np.float64)[times])
        corrector, predictor = (jnp.asarray(table, jnp.float32) for table in tables)
        return cls(corrector, predictor, steps, spacing, schedule.steps)

    @property
    def times(self) -> Int[np.ndarray, " steps"]:
        """The visited times."""
        return unipc_times(self.train_steps, self.steps, self.spacing)

    def init(self, noise: Images) -> UniPCState:
        """Return the state before the first evaluation."""
        nothing = jnp.zeros_like(noise)
        return UniPCState(noise, nothing, (nothing, nothing), jnp.int32(0))

    def update(
        self, schedule: Schedule, state: UniPCState, eps: Images, index: Time, noise: Images | None
    ) -> UniPCState:
        """Return the state after evaluation `index`: what led here corrected, then a step on."""
        t = jnp.asarray(self.times)[index]
        data = predicted_x0(schedule, eps, t, state.x, None)
        to_here = self.corrector[jnp.minimum(state.updates, 2), index]
        start = _combined(to_here, (state.x, state.start, data, *state.data))
        onward = self.predictor[jnp.minimum(state.updates, 1), index]
        x = _combined(onward, (start, data, state.data[0]))
        return UniPCState(x, start, (data, state.data[0]), state.updates + 1)


def unipc_times(
    train_steps: int, steps: int, spacing: str = "linspace"
) -> Int[np.ndarray, " steps"]:
    """Return the times of a UniPC of `steps` steps, from noise to data, as diffusers spaces them.

    "linspace" is what the published configuration of Stable Diffusion gives, whose offset counts
    in "leading" only. InputError where so many times are not in the schedule, or no such spacing.
    """
    if spacing not in get_args(Spacing):
        raise InputError(f"spacing is '{spacing}': {nearest(spacing, get_args(Spacing))}")
    most = {"linspace": train_steps - 1, "leading": train_steps - 1 - _OFFSET}
    _check_steps(steps, most.get(spacing, train_steps))
    if spacing == "linspace":
        return np.linspace(0, train_steps - 1, steps + 1).round().astype(np.int32)[:0:-1]
    if spacing == "leading":
        times = np.arange(steps, 0, -1) * (train_steps // (steps + 1)) + _OFFSET
        return times.astype(np.int32)
    # rounding may add a time at the end, -1, which diffusers keeps
    ends = np.arange(train_steps, 0, -train_steps / steps)[:steps]
    return ends.round().astype(np.int32) - 1


def _check_steps(steps: int, most: int) -> None:
    if not 1 <= steps <= most:
        raise InputError(f"steps is {steps}: expected 1 to {most}")


def _combined(weights: Float[Array, " terms"], terms: Sequence[Images]) -> Images:
    """Return the weighted sum of `terms`."""
    return reduce(jnp.add, map(jnp.multiply, weights, terms))


def _pndm_times(train_steps: int, steps: int) -> Int[np.ndarray, " evaluations"]:
    times = ddim_times(train_steps, steps, _OFFSET)[0]
    return np.concatenate([times[:2], times[1:]])


def _transfer(here: np.ndarray, there: np.ndarray) -> Float[np.ndarray, "evaluations 2"]:
    """Return the weights of x and e in (1) for alphabar `here` (at t) and `there` (at s)."""
    weight = np.sqrt(there / here)
    return np.stack([weight, np.sqrt(1 - there) - weight * np.sqrt(1 - here)], axis=-1)


def _unipc_tables(
    alpha_bar: Float[np.ndarray, " steps"],
) -> tuple[Float[np.ndarray, "3 steps 5"], Float[np.ndarray, "2 steps 3"]]:
    """Return the weights of (4) for x, x_s, m_t, m_s, m_r, and of (3) for x_s, m_s, m_r.

    A row of (4) says how the step that led there is corrected, of (3) which step follows. Where an
    order needs more steps than are before or after a row, the row is that of the order below.
    """
    signal, sigma = np.sqrt(np.append(alpha_bar, 1)), np.sqrt(1 - np.append(alpha_bar, 1))
    with np.errstate(divide="ignore"):
        h = np.diff(np.log(signal) - np.log(sigma))  # infinite for the last step, to the data
    kept, gain = sigma[1:] / sigma[:-1], -signal[1:] * np.expm1(-h)
    k = -h[:-2] / h[1:-1]  # of the steps of order 2, neither the first nor the last

    predictor = np.zeros((2, len(alpha_bar), 3))
    predictor[:, :, 0], predictor[:, :, 1] = kept, gain
    earlier = gain[1:-1] / (2 * k)
    predictor[1, 1:-1, 1] -= earlier
    predictor[1, 1:-1, 2] = earlier

    corrector = np.zeros((3, len(alpha_bar), 5))
    corrector[:, :, 0] = 1  # order 0: x as it is
    corrector[1:, 1:, 0], corrector[1:, 1:, 1] = 0, kept[:-1]
    corrector[1:, 1:, 2:4] = gain[:-1, None] / 2
    h, gain = h[1:-1], gain[1:-1]
    limit = -1 / np.expm1(-h)
    both = limit - 1 / h  # a + b
    a = (both - (limit - 2 * both / h)) / (1 - k)
    corrector[2, 2:, 2:] = (gain * np.stack([both - a, 1 - a / k - (both - a), a / k])).T
    return corrector, predictor
