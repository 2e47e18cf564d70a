"""Writes surgical_models.npz: networks of surgical_vision with seeded weights, but StarGANv2's.

Those of surgical_networks.py, and Keras's autoencoder. Of gradients with respect to weights every
tensor's product with a seeded direction is kept, and its norm.

pip install torch==2.13.0 keras==3.15.1 jax==0.10.2 numpy
KERAS_BACKEND=jax python tests/golden/make_surgical_models.py
"""

import json
from pathlib import Path

import jax
import keras
import numpy as np
import torch
from seeded_weights import seeded_keras_weights, seeded_weights
from surgical_networks import (
    Attention,
    Heads,
    StarDiscriminator,
    Style,
    cyclegan,
    dcgan_discriminator,
    dcgan_generator,
    patchgan,
    pix2pix,
    stargan,
)
from torch import nn

KERAS = {"size": 12, "filters": (4, 6), "dense": 5, "latent": 3}


def drawn(shape, seed):
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


def tensor(array):
    return torch.from_numpy(array).permute(0, 3, 1, 2) if array.ndim == 4 else torch.tensor(array)


def array(value):
    value = value.detach()
    return (value.permute(0, 2, 3, 1) if value.ndim == 4 else value).contiguous().numpy()


def shapes_of(network):
    return {key: tuple(value.shape) for key, value in network.state_dict().items() if value.ndim}


def seeded(network):
    """Give the network seeded weights; return the shapes of their names."""
    shapes = shapes_of(network)
    weights = seeded_weights(shapes)
    weights |= {k: 0.2 + abs(v) for k, v in weights.items() if k.endswith("running_var")}
    weights = {key: torch.from_numpy(value) for key, value in weights.items()}
    network.load_state_dict(weights, strict=False)
    return shapes


def summary(gradients, directions):
    """Return [product with the direction, norm] of each, in the order of the names."""
    return np.array(
        [[(g * directions[n]).sum(), np.sqrt((g**2).sum())] for n, g in sorted(gradients.items())]
    )


def gradients(network, loss):
    network.zero_grad()
    loss.backward()
    slopes = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in network.named_parameters()
    }
    slopes = {name: slope.double().numpy() for name, slope in slopes.items()}
    return summary(slopes, seeded_weights(shapes_of(network), seed=1))


def squared_norms(score, images):
    images = images.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(score(images).sum(), images, create_graph=True)
    return slopes.square().sum((1, 2, 3))


def record(name, network, shape=None, *, alone=False, penalties=False, inputs=None):
    """Return output and gradients; `alone` gives BatchNorm one image at a time."""
    golden = {f"{name}/shapes": np.array(json.dumps(seeded(network)))}
    x = tensor(drawn(shape, 1)) if inputs is None else inputs

    def run(x):
        outputs = [network(one[None]) for one in x] if alone else [network(x)]
        outputs = [o if isinstance(o, tuple) else (o,) for o in outputs]
        return [torch.cat(parts) for parts in zip(*outputs, strict=True)]

    outputs = run(x)
    loss = sum((o * tensor(drawn(array(o).shape, 2))).sum() for o in outputs)
    for i, output in enumerate(outputs):
        golden[f"{name}/output{i or ''}"] = array(output)
    golden[f"{name}/gradients"] = gradients(network, loss)
    if penalties:

        def score(x):
            return run(x)[0].flatten(1).sum(1)

        norms = squared_norms(score, x)
        penalty, r1 = (norms.sqrt() - 1).square().mean(), norms.mean() / 2
        golden[f"{name}/penalties"] = np.array([penalty.item(), r1.item()])
        golden[f"{name}/penalty_gradients"] = gradients(network, penalty)
        norms = squared_norms(score, x)
        golden[f"{name}/r1_gradients"] = gradients(network, norms.mean() / 2)
    return golden


def record_batch_norm(name, network, shape):
    """Return also what inference gives, and the statistics that training moved."""
    seeded(network)
    golden = {f"{name}/inference": array(network.eval()(tensor(drawn(shape, 1))))}
    golden |= record(name, network.train(), shape)
    named = network.state_dict().items()
    return golden | {f"{name}/moved/{k}": v.numpy() for k, v in named if k.endswith("_mean")}


def with_labels(shape, labels):
    planes = np.broadcast_to(labels[:, None, None], (*shape[:3], labels.shape[1]))
    return tensor(np.concatenate([drawn(shape, 1), planes], axis=-1).astype(np.float32))


def record_attention():
    golden = {}
    for name, network in {
        "self": Attention(16), "pooled": Attention(16, pooled=True),
        "heads": Heads([Attention(16) for _ in range(3)]),
    }.items():  # fmt: skip
        golden |= record(f"attention_{name}", network, (2, 6, 8, 16))
        modules = network if name == "heads" else [network]
        shares = np.stack([module.shares.detach().numpy() for module in modules], 1)
        golden[f"attention_{name}/shares"] = shares[:, :, ::13]
    return golden


def keras_autoencoder(size, filters, dense, latent):
    layers = keras.layers
    image = x = keras.Input((size, size, 3))
    for width in filters:
        x = layers.Conv2D(width, 3, strides=2, padding="same", activation="relu")(x)
    left = x.shape[1:]
    x = layers.Dense(dense, activation="relu")(layers.Flatten()(x))
    codes = [layers.Dense(latent, name=name)(x) for name in ("z_mean", "z_log_var")]
    code = x = keras.Input((latent,))
    x = layers.Reshape(left)(layers.Dense(int(np.prod(left)), activation="relu")(x))
    for width in reversed(filters):
        x = layers.Conv2DTranspose(width, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(3, 3, padding="same", activation="sigmoid")(x)
    return keras.Model(image, codes), keras.Model(code, x)


def record_keras():
    encoder, decoder = keras_autoencoder(**KERAS)
    weights = [*encoder.weights, *decoder.weights]
    shapes = {weight.path: tuple(weight.shape) for weight in weights}
    for weight in weights:
        weight.assign(seeded_keras_weights(shapes)[weight.path])
    images = 1 / (1 + np.exp(-drawn((2, KERAS["size"], KERAS["size"], 3), 1)))  # [0, 1]
    cotangents = [
        drawn((2, KERAS["latent"]), 2),
        drawn((2, KERAS["latent"]), 3),
        drawn(images.shape, 4),
    ]

    def loss(encoder_weights, decoder_weights):
        (mean, log_var), _ = encoder.stateless_call(encoder_weights, [], images)
        output, _ = decoder.stateless_call(decoder_weights, [], mean)
        outputs = (mean, log_var, output)
        products = zip(outputs, cotangents, strict=True)
        return sum((a * b).sum() for a, b in products), outputs

    values = [[w.value for w in model.weights] for model in (encoder, decoder)]
    slopes, outputs = jax.grad(loss, argnums=(0, 1), has_aux=True)(*values)
    named = dict(zip(shapes, map(np.float64, [*slopes[0], *slopes[1]]), strict=True))
    return {
        "autoencoder/shapes": np.array(json.dumps(shapes)),
        **{f"autoencoder/output{i or ''}": np.asarray(o) for i, o in enumerate(outputs)},
        "autoencoder/gradients": summary(named, seeded_keras_weights(shapes, seed=1)),
    }


def counts():
    with torch.device("meta"):
        networks = {
            "cyclegan": cyclegan(), "cyclegan6": cyclegan(blocks=6), "stargan3": stargan(3),
            "stargan5": stargan(5), "style": Style(), "pix2pix": pix2pix(),
            "pix2pix7": pix2pix(downs=7), "patchgan6": patchgan(6, nn.BatchNorm2d),
            "patchgan3": patchgan(3, nn.InstanceNorm2d), "dcgan": dcgan_discriminator(),
            "stargan_d3_128": StarDiscriminator(128, 3),
            "stargan_d5_128": StarDiscriminator(128, 5),
            "stargan_d3_512": StarDiscriminator(512, 3), "dcgan_decoder": dcgan_generator(),
            "attention256": Attention(256), "attention128": Attention(128),
            "attention64": Attention(64),
        }  # fmt: skip
    return {
        f"parameters/{name}": np.array(sum(p.numel() for p in network.parameters()))
        for name, network in networks.items()
    }


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    labels = np.array([[0, 0, 0], [1, 0, 1]])
    heads = Heads([Attention(16) for _ in range(2)])
    star_attention = Attention(8, pooled=True)
    translator = stargan(3, 4, 2, heads)
    golden = {
        **counts(),
        **record_attention(),
        **record("cyclegan", cyclegan(4, 2), (2, 16, 12, 3)),
        **record("stargan", translator, inputs=with_labels((2, 12, 16, 3), labels)),
        **record("style", Style(4, 2), (2, 12, 16, 3)),
        **record("pix2pix", pix2pix(4, 5), (2, 32, 32, 3), alone=True),
        **record_batch_norm("decoder", dcgan_generator((4, 6), 3, 5), (4, 1, 1, 5)),
        **record_batch_norm("dcgan", dcgan_discriminator((4, 6), 3), (4, 12, 12, 3)),
        **record("patchgan6", patchgan(6, nn.BatchNorm2d, 4, 2), (2, 24, 16, 6), alone=True),
        **record(
            "patchgan3", patchgan(3, nn.InstanceNorm2d, 4, 2, Attention(8)), (2, 24, 16, 3),
            penalties=True,
        ),
        **record(
            "stargan_d", StarDiscriminator(24, 3, 4, 3, star_attention), (3, 24, 24, 3),
            penalties=True,
        ),
        **record_keras(),
    }  # fmt: skip
    np.savez_compressed(Path(__file__).with_name("surgical_models.npz"), **golden)
    for name, value in golden.items():
        if name.startswith("parameters/") or name.endswith("penalties"):
            print(name, value)


if __name__ == "__main__":
    main()
