"""Chance that is the same on every machine: one stream of random numbers for each thing."""

import random


def chance(seed: int, *owner: str) -> random.Random:
    """Return the random numbers of one thing (a tag, a radio's antenna, a radio's line).

    Each thing has its own stream, so that adding a radio changes nothing for the others. A text
    seeds by its SHA-512, which does not depend on the process or the version of Python.
    """
    return random.Random("/".join((str(seed), *owner)))  # noqa: S311  A world's dice, no secret.
