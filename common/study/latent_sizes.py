"""What ties the sizes of a small latent diffusion model together, where a study trains one.

The section that describes it has `autoencoder_channels` and `channels` of each resolution of
autoencoder and U-Net, `head_channels` of attention, `context` features of a word, and `groups` of
GroupNorm.
"""

from typing import Any


def check(section: str, sizes: Any) -> None:
    """Raise ValueError unless the numbers of the section so named describe a network."""
    needed = [
        ("autoencoder_channels", "groups"),
        ("channels", "groups"),
        ("channels", "head_channels"),
    ]
    for name, divisor in needed:
        for width in getattr(sizes, name):
            if width % getattr(sizes, divisor):
                raise ValueError(
                    f"{section}.{name}: {width} is no multiple of {section}.{divisor} = "
                    f"{getattr(sizes, divisor)}; change either"
                )
    if sizes.context > 63 and sizes.context % (sizes.context // 32):
        raise ValueError(
            f"{section}.context: {sizes.context} features do not share out over attention heads "
            "of 32; give a multiple of 32"
        )


def halvings(sizes: Any) -> int:
    """Return how often images are halved on their way through both networks."""
    return len(sizes.autoencoder_channels) + len(sizes.channels) - 2
