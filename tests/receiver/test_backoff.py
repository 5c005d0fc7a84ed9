"""When links are tried again."""

import pytest

from receiver.links.backoff import Backoff


def test_waits_double_from_the_first_to_the_longest() -> None:
    backoff = Backoff(jitter=lambda: 0.0)
    assert [backoff.failed() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 48, 48, 48]


def test_jitter_lengthens_a_wait_by_up_to_a_quarter_and_never_beyond_the_longest() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.failed() for _ in range(8)] == [1.25, 2.5, 5, 10, 20, 40, 60, 60]


def test_two_links_do_not_wait_equally_long() -> None:
    first, second = Backoff(), Backoff()
    assert first.failed() != second.failed()


def test_a_link_that_opens_and_fails_at_once_keeps_its_long_waits() -> None:
    now = [1000.0]
    backoff = Backoff(jitter=lambda: 0.0, clock=lambda: now[0])
    for _ in range(4):
        backoff.failed()
    backoff.works()
    now[0] += 59
    assert backoff.failed() == 16


def test_waits_begin_anew_after_a_healthy_minute() -> None:
    now = [1000.0]
    backoff = Backoff(jitter=lambda: 0.0, clock=lambda: now[0])
    for _ in range(4):
        backoff.failed()
    backoff.works()
    now[0] += 60
    assert backoff.failed() == 1
    assert backoff.failed() == 2


def test_one_healthy_minute_counts_once() -> None:
    now = [1000.0]
    backoff = Backoff(jitter=lambda: 0.0, clock=lambda: now[0])
    backoff.works()
    now[0] += 3600
    assert [backoff.failed(), backoff.failed(), backoff.failed()] == [1, 2, 4]


@pytest.mark.parametrize("failures", [0, 3, 20])
def test_who_is_refused_waits_long_at_once(failures: int) -> None:
    backoff = Backoff(jitter=lambda: 0.0)
    for _ in range(failures):
        backoff.failed()
    assert backoff.refused() == 48
    assert backoff.failed() == 48
