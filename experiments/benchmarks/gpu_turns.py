"""A row of `experiments.benchmarks.gpu`: the steps of our side and of PyTorch's, in turn."""

import argparse
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from experiments.benchmarks.gpu_sides import Clock, FailedError, Side

MODES = ("jax", "eager", "compiled")
ROUND = 0.4  # seconds of our steps in a round, about
QUEUED = 20  # steps at most: more than the device's queue holds would make the host wait
MEASURING = 20.0  # seconds kept for the rounds where compiling takes long
DROPPING = 10.0  # seconds at most, after a row


@dataclass
class Sides:
    """Both sides; `missing` is why there is no PyTorch."""

    ours: Side
    torch: Side
    missing: str = ""

    def about(self, seconds: float) -> dict[str, Any]:
        """Return what PyTorch's side is, or why there is none."""
        try:
            return self.torch.ask(seconds, "about")
        except FailedError as error:
            self.missing = str(error)
            return {"missing": self.missing}

    def drop(self, clock: Clock) -> None:
        """Have both sides give their memory back."""
        for side in (self.ours, self.torch):
            if side.process is not None:
                with suppress(FailedError):  # then it has ended, which does as well
                    side.ask(clock.left(), "drop")

    def close(self) -> None:
        """End both."""
        self.ours.close()
        self.torch.close()


@dataclass
class Row:
    """A row under way: what the modes' steps take, and the reasons of those that failed."""

    sides: Sides
    clock: Clock
    failed: dict[str, str] = field(default_factory=dict)
    first: dict[str, dict] = field(default_factory=dict)  # answers to each mode's first question

    def tried(self, mode: str, side: Side, *question: Any) -> dict | None:
        """Return an answer, or None and keep the reason."""
        side.begin(*question)
        return self.waited(mode, side, 0.0)

    def waited(self, mode: str, side: Side, kept: float) -> dict | None:
        """Return the answer to what was begun; wait so long that `kept` seconds are left."""
        try:
            return side.end(self.clock.left(kept))
        except FailedError as error:
            self.failed[mode] = str(error)
            return None

    def prepare(self, network: str, folder: str, dtype: str) -> None:
        """Compile all modes, both sides at the same time; ours begins with PyTorch's weights."""
        ours, torch = self.sides.ours, self.sides.torch
        load = ("load", network, folder, dtype)
        has_torch = not self.sides.missing and self.tried("eager", torch, *load) is not None
        ours.begin(*load)
        if has_torch:
            self.first["eager"] = self.tried("eager", torch, "steps", "eager", 1) or {}
        if begun := bool(self.first.get("eager")):
            torch.begin("steps", "compiled", 1)
        self.first["jax"] = self.waited("jax", ours, MEASURING) or {}
        if begun:
            self.first["compiled"] = self.waited("compiled", torch, MEASURING) or {}
        if begun and torch.process is None:  # given up with all it had: eager is left
            self.tried("eager", torch, *load)
        self.first = {mode: answer for mode, answer in self.first.items() if answer}

    def alternate(self, rounds: int) -> dict[str, list[dict]]:
        """Return the answers of all modes that work, in rounds of the same number of steps."""
        sides = self.sides
        step = self.first.get("jax", {}).get("step_seconds", ROUND / QUEUED)
        count = int(np.clip(ROUND / max(step, 1e-6), 1, QUEUED))
        asks = {"jax": partial(self.tried, "jax", sides.ours, "steps", count)}
        for mode in MODES[1:]:
            asks[mode] = partial(self.tried, mode, sides.torch, "steps", mode, count)
        answers: dict[str, list[dict]] = {mode: [] for mode in MODES if mode in self.first}
        for _ in range(1 + rounds):  # the first warms up
            for mode in [mode for mode in answers if mode not in self.failed]:
                if found := asks[mode]():
                    answers[mode].append(found | {"count": count})
        return {mode: found[1:] for mode, found in answers.items() if mode not in self.failed}


def measured(
    sides: Sides,
    network: str,
    dtype: str,
    options: argparse.Namespace,
    clock: Clock,
    ceilings: dict[str, float],
) -> dict[str, Any]:
    """Return a row's figures; raises `FailedError` where no mode works at all."""
    row = Row(sides, clock)
    with tempfile.TemporaryDirectory() as folder:
        images = sides.ours.ask(clock.left(), "inputs", network, options.tiny, folder)["images"]
        row.prepare(network, folder, dtype)
        answers = row.alternate(options.rounds)
    sides.drop(Clock(DROPPING))
    if not answers:
        raise FailedError("; ".join(f"{mode}: {why}" for mode, why in row.failed.items()))
    result: dict[str, Any] = {"images": images, "failed": row.failed, "seconds": {}, "ratios": {}}
    for mode, found in answers.items():
        result["seconds"][mode] = [answer["seconds"] / answer["count"] for answer in found]
    ours = result["seconds"].get("jax")
    for mode in result["seconds"] if ours else ():
        result["ratios"][mode] = float(np.median(np.divide(ours, result["seconds"][mode])))
    if ours:
        result |= figures(row.first, answers["jax"], float(np.median(ours)), ceilings[dtype])
        result["share_of_bandwidth"] = share(result["bytes"], ours, ceilings["bandwidth"])
    if "compiled" in row.first:
        result["torch_compile_seconds"] = row.first["compiled"]["seconds"]
    return result


def figures(
    first: dict[str, dict], answers: list[dict], seconds: float, ceiling: float
) -> dict[str, Any]:
    """Return what our side says of its steps, and what it makes of the card."""
    ours = first["jax"]
    kept = ("compile_seconds", "first_loss", "same_bits", "operations", "bytes")
    found = {name: ours[name] for name in kept}
    found["share_of_products"] = share(ours["operations"], [seconds], ceiling)
    queued = [answer["queued_seconds"] / answer["seconds"] for answer in answers]
    found["queued_share"] = float(np.median(queued))
    found["compiled_between_steps"] = sum(answer["compiled"] for answer in answers)
    found["last_loss"] = answers[-1]["loss"]
    if "eager" in first:
        theirs = first["eager"]["loss"]
        found["loss_differs_by"] = abs(ours["first_loss"] - theirs) / abs(theirs)
    return found


def share(amount: float | None, seconds: list[float], ceiling: float) -> float | None:
    """Return an amount by a step's seconds as a share of a ceiling."""
    return None if amount is None else amount / float(np.median(seconds)) / ceiling
