"""The eighteen models: what each is, and the family whose module makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal[
    "autoencoder", "gan", "pix2pix", "cyclegan", "stargan", "starganv2", "style", "diffusion"
]


@dataclass(frozen=True)
class Variant:
    """A model: its family, and in what it differs from the family's plain form."""

    title: str
    family: Family
    sampled: bool = False  # a VAE: the latent vector is drawn
    perceptual: bool = False  # loss
    attention: Literal["none", "self", "heads"] = "none"  # in the generator
    discriminator_attention: bool = False
    raised: bool = False  # weight of the reconstruction
    lora: bool = False

    def heads(self, several: int) -> int:
        """Return how many self-attention modules the generator has, where multi-head has some."""
        return {"none": 0, "self": 1, "heads": several}[self.attention]


MODELS = {
    "autoencoder": Variant("Autoencoder", "autoencoder"),
    "vae": Variant("VAE", "autoencoder", sampled=True),
    "gan": Variant("GAN", "gan"),
    "pix2pix": Variant("Pix2Pix", "pix2pix"),
    "cyclegan": Variant("CycleGAN", "cyclegan"),
    "stargan": Variant("StarGAN", "stargan"),
    "starganv2": Variant("StarGANv2", "starganv2"),
    "style_transfer": Variant("Style transfer", "style"),
    "stable_diffusion": Variant("Stable Diffusion", "diffusion"),
    "vae_perceptual": Variant(
        "VAE + perceptual loss", "autoencoder", sampled=True, perceptual=True
    ),
    "cyclegan_sa": Variant("CycleGAN + SA [G]", "cyclegan", attention="self"),
    "cyclegan_sa_gd": Variant(
        "CycleGAN + SA [G, D]", "cyclegan", attention="self", discriminator_attention=True
    ),
    "stable_diffusion_lora": Variant("Stable Diffusion + LoRA", "diffusion", lora=True),
    "stargan_sa": Variant("StarGAN + SA [G]", "stargan", attention="self"),
    "stargan_mha": Variant("StarGAN + MHA [G]", "stargan", attention="heads"),
    "stargan_sa_raised": Variant(
        "StarGAN + SA [G], raised", "stargan", attention="self", raised=True
    ),
    "stargan_mha_raised": Variant(
        "StarGAN + MHA [G], raised", "stargan", attention="heads", raised=True
    ),
    "stargan_sa_gd_raised": Variant(
        "StarGAN + SA [G, D], raised",
        "stargan",
        attention="self",
        discriminator_attention=True,
        raised=True,
    ),
}


def identity_of(family: str) -> str:
    """Return the name of the network that a family's variants begin with, where there is one."""
    return f"identity_{family}"


UNPAIRED = ("gan", "cyclegan", "stargan", "starganv2", "style")  # families: no pair is looked at
