"""The command on pretrained weights: what is here, fetched, registered."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from common.pipeline.commands import Outcome


def show(
    fetch: str | None,
    verify: bool,
    add: tuple[str, Path] | None = None,
    remove: str | None = None,
) -> Outcome:
    """Fetch, register or forget weights where asked; return what there is of published and own."""
    from common.pretrained import registered, weights

    if fetch:
        wanted = weights.SETS if fetch == "all" else (fetch,)
        for one in [weights.published(name) for name in wanted]:
            weights.weights_path(one)
    if add:
        registered.register(*add)
    if remove:
        registered.forget(remove)
    published = [weights.stored(one, verify=verify) for one in weights.SETS.values()]
    lines = [
        f"{one.name}: {one.state}, {one.size / 1e6:.0f} MB"
        + (f", {one.path}" if one.path else f"; --fetch {one.name}, or set {one.variable}")
        for one in published
    ]
    plain = [{**dataclasses.asdict(one), "kind": "published"} for one in published]
    for own in registered.registered():
        state = registered.state_of(own, verify=verify)
        lines.append(f"{own.name}: {state}, {own.kind}, {own.size / 1e6:.0f} MB, {own.path}")
        about = {"name": own.name, "state": state, "path": own.path, "size": own.size}
        plain.append({**about, "variable": None, "kind": own.kind})
    differs = any(one["state"] in ("differs", "changed", "gone") for one in plain)
    return Outcome(int(differs), plain, "\n".join(lines))
