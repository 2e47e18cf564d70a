"""Writes schedulers.npz: times and steps of diffusers' schedulers as Stable Diffusion is run.

Every step gets an `x` and `eps` of its own, so that no error accumulates. The schedulers compute in
float64, from the float32 table of alphabar (UniPC: of sigma) that they have.

pip install torch==2.13.0 diffusers==0.42.1 transformers==5.24.0
python tests/golden/make_schedulers.py
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, PNDMScheduler, UniPCMultistepScheduler
from diffusers.training_utils import compute_snr

SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
# the published scheduler_config.json
PUBLISHED = SCHEDULE | {
    "num_train_timesteps": 1000,
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
SPACINGS = ("linspace", "leading", "trailing")
COUNTS = (1, 2, 3, 10, 20, 50)
ENTERED = ((10, 3), (10, 9), (3, 1))  # steps, index of the first evaluation
TABLES = (*range(1, 62), 100, 250, 498, 500, 501, 997, 998, 999, 1000)
LOSS_TIMES = np.array([0, 37, 200, 500, 999])
ETA = 0.7
RANDOM = np.random.RandomState(0)
X, EPS = (RANDOM.standard_normal((51, 1, 2, 3, 1)).astype(np.float32) for _ in range(2))
NOISE = torch.randn(X.shape[1:], generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def doubled(scheduler):
    """Return `scheduler`, its tables float64."""
    for name in ("alphas_cumprod", "final_alpha_cumprod", "betas", "one"):
        if hasattr(scheduler, name):
            setattr(scheduler, name, getattr(scheduler, name).double())
    return scheduler


def pndm(**options) -> PNDMScheduler:
    return doubled(PNDMScheduler(**PUBLISHED | options))


def unipc(**options) -> UniPCMultistepScheduler:
    """Return the scheduler as users make it: from the published configuration, which is PNDM's."""
    published = PNDMScheduler(**PUBLISHED).config
    return doubled(UniPCMultistepScheduler.from_config(published, **options))


def steps(scheduler, count: int, start: int = 0, **options) -> np.ndarray:
    """Return the images after every step from the evaluation `start` on."""
    scheduler.set_timesteps(count)
    if isinstance(scheduler, UniPCMultistepScheduler):
        scheduler.set_begin_index(start)
        scheduler.sigmas = scheduler.sigmas.double()
    rows = [
        scheduler.step(torch.from_numpy(eps).double(), t, torch.from_numpy(x).double(), **options)
        for t, x, eps in zip(scheduler.timesteps[start:], X, EPS, strict=False)
    ]
    return torch.cat([row.prev_sample for row in rows]).float().numpy()


def ancestral() -> np.ndarray:
    scheduler, x, eps = doubled(DDPMScheduler(**SCHEDULE, clip_sample=False)), X[0], EPS[0]
    rows = [
        scheduler.step(
            torch.from_numpy(eps).double(),
            int(t),
            torch.from_numpy(x).double(),
            generator=torch.Generator().manual_seed(0),
        )
        for t in LOSS_TIMES
    ]
    return torch.cat([row.prev_sample for row in rows]).float().numpy()


def tables(make) -> Iterator[np.ndarray]:
    """Yield the times of every number of steps in `TABLES`."""
    for count in TABLES:
        scheduler = make()
        scheduler.set_timesteps(count)
        times = scheduler.timesteps.numpy().astype(np.int32)
        yield times[times >= 0]  # 61 of the trailing ones have a 62nd, -1, by rounding


def losses() -> dict[str, np.ndarray]:
    """Return what the training script makes of `EPS` as a prediction, per image; gamma is 5."""
    scheduler = DDPMScheduler(**SCHEDULE)
    t, count = torch.from_numpy(LOSS_TIMES), len(LOSS_TIMES)
    x0, predicted, noise = (torch.from_numpy(a[:count, 0]) for a in (X, EPS, X[::-1].copy()))
    snr = compute_snr(scheduler, t)
    weights = torch.stack([snr, 5 * torch.ones_like(snr)], dim=1).min(dim=1)[0]
    found = {"snr": snr}
    for kind in ("epsilon", "v_prediction"):
        target = noise if kind == "epsilon" else scheduler.get_velocity(x0, noise, t)
        loss = torch.nn.functional.mse_loss(predicted, target, reduction="none").mean((1, 2, 3))
        found[f"loss_{kind}"] = loss
        found[f"min_snr_{kind}"] = loss * weights / (snr if kind == "epsilon" else snr + 1)
    return {name: value.numpy() for name, value in found.items()}


def main() -> None:
    published = PNDMScheduler(**PUBLISHED)
    golden = {"betas": published.betas.numpy(), "alphas_cumprod": published.alphas_cumprod.numpy()}
    golden |= {"x": X, "eps": EPS, "noise": NOISE.numpy().astype(np.float32)}
    golden |= {"tables": np.array(TABLES), "times": LOSS_TIMES, "ddpm": ancestral(), **losses()}
    golden["pndm_times"] = np.concatenate(list(tables(pndm)))
    for spacing in SPACINGS:
        made = tables(lambda spacing=spacing: unipc(timestep_spacing=spacing))
        golden[f"unipc_{spacing}_times"] = np.concatenate(list(made))
    for count, start in [(count, 0) for count in COUNTS] + list(ENTERED):
        golden[f"pndm_{count}_{start}"] = steps(pndm(), count, start)
        for spacing in SPACINGS:
            scheduler = unipc(timestep_spacing=spacing)
            golden[f"unipc_{spacing}_{count}_{start}"] = steps(scheduler, count, start)
    golden["unipc_default_times"] = np.concatenate(list(tables(unipc)))
    golden["unipc_velocity"] = steps(unipc(prediction_type="v_prediction"), 10)
    ddim = {"set_alpha_to_one": False, "steps_offset": 1, "clip_sample": False}
    for eta in (0.0, ETA):
        scheduler = doubled(DDIMScheduler(**SCHEDULE, **ddim))
        golden[f"ddim_{eta}"] = steps(scheduler, 20, eta=eta, variance_noise=NOISE)
    np.savez_compressed(Path(__file__).with_name("schedulers.npz"), **golden)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
