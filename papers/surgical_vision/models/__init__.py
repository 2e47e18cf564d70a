"""Networks: coders, U-Net, translator, discriminators, StarGANv2's."""
