"""Colors and light: linear RGB, a portrait's lamp and sky, and how an image encodes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from papers.surgical_vision.faces.mesh import unit

EXPOSURE = 1.0
SCATTER = np.array([0.38, 0.2, 0.13], np.float32)  # how far red, green, blue light bleeds in skin

Color = Float32[np.ndarray, "rgb=3"]
Colors = Float32[np.ndarray, "n 3"]
Values = Float32[np.ndarray, " n"]
Vectors = Float32[np.ndarray, "n 3"]


@dataclass(frozen=True)
class Light:
    """A lamp in a direction (as the eye sees it: right, up, towards it) and a sky around."""

    direction: Color
    lamp: Color
    sky: Color

    def halfway(self) -> Color:
        """Return the normal of surfaces that mirror the lamp into the eye."""
        return unit(self.direction + np.array([0, 0, 1], np.float32))


def linear(code: str) -> Color:
    """Return the linear RGB of a code such as "#f3cdb6"."""
    values = np.array([int(code[at : at + 2], 16) for at in (1, 3, 5)], np.float32) / 255
    return np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92).astype(
        np.float32
    )


def encoded(image: Float32[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return linear RGB as sRGB in 0 to 255; what is brighter than 0.7 is compressed, not cut."""
    bright = np.maximum(image * np.float32(EXPOSURE), 0)
    knee = np.float32(0.7)
    rest = 1 - knee
    over = np.maximum(bright - knee, 0) / rest
    bright = np.minimum(bright, knee) + rest * over / (1 + over)
    coded = np.where(bright > 0.0031308, 1.055 * bright ** (1 / 2.4) - 0.055, bright * 12.92)
    return np.rint(coded * 255).astype(np.uint8)


def diffuse(
    normal: Vectors, light: Light, sky: Values, seen: Values, scatter: Color = SCATTER
) -> Colors:
    """Return the light that a matte surface sends back, by color.

    `sky` and `seen` are the shares of the sky and of the lamp that reach the surface. Under the
    skin light travels sideways, red farthest: the border of the shade is soft and reddish.
    """
    facing = np.einsum("nc,c->n", normal, light.direction)[:, None]
    lamp = np.clip((facing + scatter) / (1 + scatter), 0, None) ** np.float32(1.2)
    shaded = seen[:, None] ** (1 - scatter)
    above = (np.float32(0.75) + np.float32(0.25) * normal[:, 1]) * sky
    return lamp * shaded * light.lamp + above[:, None] * light.sky


def gloss(normal: Vectors, light: Light, power: float | int) -> Values:
    """Return the mirrored light of a surface, 1 where it mirrors the lamp into the eye.

    To it comes what grazing surfaces mirror of what lies behind them (Schlick's approximation).
    """
    lobe = np.clip(np.einsum("nc,c->n", normal, light.halfway()), 0, 1) ** np.float32(power)
    graze = (1 - np.clip(normal[:, 2], 0, 1)) ** np.float32(5)
    return lobe + np.float32(0.05) * graze
