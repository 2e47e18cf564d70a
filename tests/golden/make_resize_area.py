"""Golden values of MONAI's Resize as it is by default, on the source's shapes and two others.

pip install torch==2.13.0 monai==1.3.2
python tests/golden/make_resize_area.py
"""

from pathlib import Path

import numpy as np
from monai.transforms import Resize

rng = np.random.default_rng(0)
arrays = {}
for before, after in (((91, 109), (96, 128)), ((40, 57), (24, 32)), ((7, 5), (10, 15))):
    image = rng.normal(size=before).astype(np.float32)
    name = "x".join(map(str, (*before, *after)))
    arrays[f"{name}_before"] = image
    arrays[f"{name}_after"] = Resize(spatial_size=after)(image[None]).numpy()[0]
np.savez_compressed(Path(__file__).with_name("resize_area.npz"), **arrays)
