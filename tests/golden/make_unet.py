"""Writes unet.npz: outputs of MONAI's DiffusionModelUNet with seeded weights.

pip install torch monai==1.4.0 && pip install --no-deps monai-generative==0.2.3
python tests/golden/make_unet.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from generative.networks.nets import DiffusionModelUNet
from seeded_weights import seeded_weights

CONFIGS = {
    "small": {
        "num_channels": (16, 32),
        "attention_levels": (False, True),
        "num_head_channels": (0, 8),
        "num_res_blocks": 1,
        "norm_num_groups": 8,
    },
    "published": {
        "num_channels": (256, 256, 512),
        "attention_levels": (False, False, True),
        "num_head_channels": (0, 0, 512),
        "num_res_blocks": 2,
        "norm_num_groups": 32,
    },
}
CONDITIONS = np.array([[48, 2, 45], [-1, -1, -1]], np.float32)
TIMES = np.array([3, 977], np.int32)


def main() -> None:
    golden = {"conditions": CONDITIONS, "times": TIMES}
    golden["x"] = np.random.RandomState(1).standard_normal((2, 16, 24, 1)).astype(np.float32)
    for name, config in CONFIGS.items():
        network = DiffusionModelUNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=1,
            with_conditioning=True,
            cross_attention_dim=3,
            **config,
        )
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        weights = seeded_weights(shapes)
        network.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
        with torch.no_grad():
            output = network(
                torch.from_numpy(golden["x"]).permute(0, 3, 1, 2),
                timesteps=torch.from_numpy(TIMES),
                context=torch.from_numpy(CONDITIONS)[:, None],
            )
        golden[f"{name}_output"] = output.permute(0, 2, 3, 1).numpy()
        golden[f"{name}_shapes"] = np.array(json.dumps(shapes))
        golden[f"{name}_parameters"] = np.array(sum(p.numel() for p in network.parameters()))
    np.savez_compressed(Path(__file__).with_name("unet.npz"), **golden)


if __name__ == "__main__":
    main()
