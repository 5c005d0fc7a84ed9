"""How far a detection, or its run, can be believed: four words, and how they pass from run to row.

How a run comes by its word is told in `receiver.runs` (CTT and others) and in
`protocols.coded_id.confidence`.
"""

from typing import Literal, TypeAlias

Confidence: TypeAlias = Literal["certain", "likely", "doubtful", "false"]
CONFIDENCES: tuple[Confidence, ...] = ("certain", "likely", "doubtful", "false")
"""Best first; a stored `confidence` is the place in this tuple; only ever append."""

NOT_SORTED = "not-sorted-yet"
"""The reason of a detection that the run index has not reached: it follows in a minute."""

NO_RUN = "told-without-a-run"
"""The reason of a coded-ID burst that another program found: it told no run."""


def of_detection(run_confidence: Confidence, integrity: str) -> Confidence:
    """Return the confidence of one detection of a run.

    A packet whose checksum failed is at most `likely`, however certain its run: the id is right,
    the packet is not.
    """
    if integrity == "failed" and run_confidence == "certain":
        return "likely"
    return run_confidence


def of_unsorted(integrity: str, *, id_legal: bool | None) -> Confidence:
    """Return the confidence of a detection whose run is not known yet: from itself alone."""
    if integrity == "failed" or id_legal is False:
        return "false"
    return "likely" if integrity == "verified" else "doubtful"


def at_least(wanted: Confidence) -> frozenset[Confidence]:
    """Return the confidences that `--min-confidence` takes."""
    return frozenset(CONFIDENCES[: CONFIDENCES.index(wanted) + 1])
