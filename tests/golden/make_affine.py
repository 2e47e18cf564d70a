"""Write affine.npz: one image under Keras's random affine maps, and what each map was.

With Keras 3: pip install keras jax scipy; KERAS_BACKEND=jax python tests/golden/make_affine.py
"""

from pathlib import Path

import numpy as np
from keras.src.legacy.preprocessing.image import apply_affine_transform

MAPS = (  # rotation in degrees, shift in pixels, shear in degrees, zoom; columns first
    (0, 0, 0, 0, 1, 1),
    (20, 0, 0, 0, 1, 1),
    (0, 3, -2, 0, 1, 1),
    (0, 0, 0, 15, 1, 1),
    (0, 0, 0, 0, 0.8, 1.3),
    (-12, 1.5, 2.25, 8, 1.1, 0.9),
)


def main() -> None:
    image = np.random.default_rng(0).random((15, 15, 2)).astype(np.float32)
    moved = [
        apply_affine_transform(
            image, *one, row_axis=0, col_axis=1, channel_axis=2, fill_mode="nearest", order=1
        )
        for one in MAPS
    ]
    np.savez_compressed(
        Path(__file__).with_name("affine.npz"),
        image=image,
        maps=np.array(MAPS, np.float32),
        moved=np.stack(moved).astype(np.float32),
    )


if __name__ == "__main__":
    main()
