"""Writes diffusion.npz: tables and steps of MONAI's DDPM and DDIM schedulers.

pip install torch monai==1.4.0 && pip install --no-deps monai-generative==0.2.3
python tests/golden/make_diffusion.py
"""

from pathlib import Path

import numpy as np
import torch
from generative.networks.schedulers import DDIMScheduler, DDPMScheduler

TIMES = np.array([0, 1, 2, 37, 500, 998, 999])


def main() -> None:
    random = np.random.RandomState(0)
    x = torch.from_numpy(random.standard_normal((1, 1, 6, 5)).astype(np.float32))
    eps = torch.from_numpy(random.standard_normal((1, 1, 6, 5)).astype(np.float32))
    # what the step draws by itself
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    golden = {"x": x, "eps": eps, "noise": noise, "times": TIMES}

    ddpm = DDPMScheduler(1000)
    golden |= {"betas": ddpm.betas, "alphas_cumprod": ddpm.alphas_cumprod}
    golden["noisy"] = torch.cat([ddpm.add_noise(x, noise, torch.tensor([t])) for t in TIMES])
    for clip in (True, False):
        ddpm.clip_sample = clip
        steps = [
            ddpm.step(eps, int(t), x, generator=torch.Generator().manual_seed(0))[0] for t in TIMES
        ]
        golden[f"ddpm_clip{clip:d}"] = torch.cat(steps)

    ddpm.prediction_type = "v_prediction"
    steps = [
        ddpm.step(eps, int(t), x, generator=torch.Generator().manual_seed(0))[0] for t in TIMES
    ]
    golden["ddpm_velocity"] = torch.cat(steps)

    # MONAI's defaults, and the convention of Stable Diffusion
    for name, offset, to_one in (("plain", 0, True), ("offset", 1, False)):
        ddim = DDIMScheduler(1000, set_alpha_to_one=to_one, steps_offset=offset)
        ddim.set_timesteps(50)
        golden[f"ddim_{name}_times"] = ddim.timesteps
        for eta in (0.0, 0.7):
            steps = [
                ddim.step(eps, int(t), x, eta=eta, generator=torch.Generator().manual_seed(0))[0]
                for t in ddim.timesteps
            ]
            golden[f"ddim_{name}_eta{eta}"] = torch.cat(steps)
    np.savez_compressed(
        Path(__file__).with_name("diffusion.npz"), **{k: np.asarray(v) for k, v in golden.items()}
    )


if __name__ == "__main__":
    main()
