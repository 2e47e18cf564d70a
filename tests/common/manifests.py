"""A manifest of results that were never made."""

import json
from typing import Any


def manifest(study: str, **config: Any) -> str:
    """Return the text of a manifest of three seeds on stand-in data, with these config sections."""
    return json.dumps(
        {
            **{"study": study, "experiment": "demo", "scale": "demo", "title": "Made up"},
            "seeds": [0, 1, 2],
            "config": config,
            "differences": [],
            "dataset": {"name": "made", "description": "made up", "stand_in": True},
            "code": {"commit": None},
            "platform": {"versions": {}},
        }
    )
