"""What a receiver may forget: never a frame that may still come, never one that is not kept."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.links.acknowledgements import Acknowledgements

GAP_S = 30.0


def begun(seq: int = 0) -> Acknowledgements:
    made = Acknowledgements(GAP_S)
    made.begin(seq, 0)
    return made


def durable(acknowledgements: Acknowledgements, *seqs: int, now: float = 1) -> None:
    for seq in seqs:
        acknowledgements.durable(acknowledgements.boot, seq, now)


def test_what_is_kept_is_acknowledged_once() -> None:
    acks = begun()
    assert (acks.take(1), acks.due) == (None, None)
    durable(acks, 0, 1, 2)
    assert acks.due is not None
    assert [acks.take(1), acks.take(1)] == [2, None]


def test_a_missing_frame_holds_back_what_follows_until_it_comes() -> None:
    acks = begun()
    durable(acks, 0, 2, 3)
    assert acks.take(1) == 0
    durable(acks, 1, now=2)
    assert acks.take(2) == 3


def test_a_frame_that_never_comes_is_given_up() -> None:
    acks = begun()
    durable(acks, 0, 2, 3, 6, now=1)
    assert acks.take(1) == 0
    assert acks.due == 1 + GAP_S
    assert acks.take(GAP_S) is None
    assert acks.take(1 + GAP_S) == 3
    assert acks.take(2 + 2 * GAP_S) == 6


def test_numbers_begin_again_after_65535() -> None:
    acks = begun(65_534)
    durable(acks, 65_534, 65_535, 0, 1)
    assert acks.take(GAP_S) == 1


def test_a_receiver_that_was_running_before_is_given_time_to_send_what_it_kept() -> None:
    acks = begun(100)
    durable(acks, 100)
    assert acks.take(GAP_S - 1) is None
    assert acks.due == GAP_S
    assert acks.take(GAP_S) == 100


def test_a_frame_that_is_sent_again_is_acknowledged_again() -> None:
    acks = begun()
    durable(acks, 0, 1)
    assert acks.take(1) == 1
    durable(acks, 0)
    assert acks.take(1) == 1


def test_rows_of_an_earlier_boot_acknowledge_nothing_of_this_one() -> None:
    acks = begun()
    earlier = acks.boot
    acks.begin(0, 5)
    acks.durable(earlier, 0, 6)
    assert acks.take(6) is None


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_order_all_is_acknowledged_in_the_end_and_nothing_before(seed: int) -> None:
    dice = random.Random(seed)
    acks = begun()
    waiting = list(range(300))
    kept: set[int] = set()
    while waiting:
        seq = waiting.pop(dice.randrange(min(8, len(waiting))))
        kept.add(seq)
        durable(acks, seq)
        told = acks.take(1)
        assert told is None or kept.issuperset(range(told + 1))
    assert acks.take(1) in {None, 299}
    assert acks.due is None


@given(st.lists(st.integers(0, 65_535), max_size=60), st.integers(0, 65_535))
def test_numbers_that_make_no_sense_do_no_harm(seqs: list[int], first: int) -> None:
    acks = begun(first)
    for now, seq in enumerate(seqs):
        durable(acks, seq, now=now)
        acks.take(now)
