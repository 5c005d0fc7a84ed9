"""The conversation with CTT radios, its clock in the test's hand."""

import pytest
import structlog
from structlog.testing import capture_logs

from protocols.records import CommandReply, Detection, RadioError, RadioInfo, Unknown
from receiver.links.conversation import Step
from receiver.links.ctt_radio import CttConversation
from receiver.settings import SerialLink

VERSION = Step(b"version\r\n")
PRESET = Step(b"preset:fsktag\r\n")
NOTHING = Step()
FIRMWARE = RadioInfo(name="SensorStationRadio", firmware="4.0.0")
BEEP = Detection(protocol="ctt-434", tag_id="78664C33", integrity="verified")
ACCEPTED = CommandReply(command="preset", ok=True)
REFUSED = CommandReply(command="preset", ok=False, message="bad arg")


def conversation(
    talk: str = "auto", preset: str = "", poll_interval: float = 60
) -> CttConversation:
    settings = SerialLink(
        name="ch1",
        device="/dev/null",
        talk=talk,  # type: ignore[arg-type]  # The tests name values of the literal.
        preset=preset,  # type: ignore[arg-type]  # Same.
        poll_interval=poll_interval,
    )
    return CttConversation(settings, structlog.get_logger())


def silence_of(radio: CttConversation) -> str | None:
    return radio.silent


def problem_of(radio: CttConversation) -> str | None:
    return radio.problem


def test_the_version_is_asked_two_seconds_after_opening_and_then_at_each_poll() -> None:
    radio = conversation()
    radio.opened(100)
    assert radio.step(101.9) == NOTHING
    assert radio.step(102) == VERSION
    radio.heard([FIRMWARE], 102.1)
    assert radio.firmware == "SensorStationRadio 4.0.0"
    assert radio.due == 162
    assert radio.step(162) == VERSION


@pytest.mark.parametrize("preset", ["", "fsktag"])
def test_a_link_that_may_never_talk_writes_nothing(preset: str) -> None:
    radio = conversation(talk="never", preset=preset)
    radio.opened(0)
    assert radio.due is None
    radio.heard([BEEP, FIRMWARE], 1)
    assert radio.due is None
    assert radio.step(1e6) == NOTHING
    assert radio.firmware == "SensorStationRadio 4.0.0"


def test_a_radio_that_never_answered_is_reopened_and_not_written_to_again() -> None:
    radio = conversation(preset="fsktag")
    radio.opened(0)
    radio.step(2)
    with capture_logs() as log:
        assert radio.step(6) == Step(reopen_after_s=1.0)
        for opened_at in (7, 1000, 2000):
            radio.opened(opened_at)
            radio.heard([BEEP], opened_at + 1)
            assert radio.due is None
    assert [line["event"] for line in log] == ["radio does not answer", "preset not set"]
    assert radio.silent is None


def test_a_radio_taken_for_an_old_one_is_talked_to_once_it_tells_its_firmware() -> None:
    radio = conversation(preset="fsktag")
    radio.opened(0)
    radio.step(2)
    radio.step(6)
    radio.opened(7)
    radio.heard([FIRMWARE], 50)
    assert radio.problem is None
    assert radio.step(50.25) == PRESET


def test_an_unanswered_poll_of_a_radio_that_answered_before_is_silence_and_reopens_it() -> None:
    radio = conversation()
    radio.opened(0)
    radio.step(2)
    radio.heard([FIRMWARE], 2.1)
    assert radio.step(62) == VERSION
    with capture_logs() as log:
        assert radio.step(66) == Step(reopen_after_s=1.0)
        assert silence_of(radio) == "no answer to `version` within 4 s"
        radio.opened(67)
        assert radio.step(69) == VERSION
        # Opened lately: opening again so soon would only lose what it may hear.
        assert radio.step(73) == NOTHING
        assert radio.step(129) == VERSION
        assert radio.step(133) == Step(reopen_after_s=1.0)
        radio.opened(134)
        radio.step(136)
        radio.heard([FIRMWARE], 136.1)
    assert silence_of(radio) is None
    assert [(line["event"], line["log_level"]) for line in log] == [
        ("radio silent", "warning"),
        ("radio answers again", "warning"),
    ]


def test_a_radio_that_must_answer_is_silent_at_once_and_asked_for_ever() -> None:
    radio = conversation(talk="always", poll_interval=10)
    radio.opened(0)
    radio.step(2)
    assert radio.step(6) == NOTHING
    assert radio.silent is not None
    assert radio.step(12) == VERSION


def test_tags_heard_since_the_poll_are_a_sign_of_life_and_noise_is_none() -> None:
    radio = conversation()
    radio.opened(0)
    radio.step(2)
    radio.heard([FIRMWARE], 2.1)
    radio.step(62)
    radio.heard([BEEP], 63)
    assert radio.step(66) == NOTHING
    assert radio.silent is None
    assert radio.step(122) == VERSION
    radio.heard([Unknown(reason="not-hex", raw=b"?")], 123)
    assert radio.step(126) == Step(reopen_after_s=1.0)


def test_the_preset_is_sent_after_the_first_answer_and_again_after_each_opening() -> None:
    radio = conversation(preset="fsktag")
    radio.opened(0)
    for opened_at in (0, 1000):
        radio.opened(opened_at)
        assert radio.step(opened_at + 2) == VERSION
        radio.heard([FIRMWARE], opened_at + 3)
        assert radio.step(opened_at + 3.25) == PRESET
        radio.heard([ACCEPTED], opened_at + 3.5)
        assert radio.step(opened_at + 62) == VERSION
        radio.heard([FIRMWARE], opened_at + 62.5)
        assert radio.step(opened_at + 63) == NOTHING


def test_a_preset_without_a_reply_is_sent_three_times_and_again_after_the_next_poll() -> None:
    radio = conversation(preset="fsktag")
    radio.opened(0)
    radio.step(2)
    radio.heard([FIRMWARE], 2)
    sent = []
    with capture_logs() as log:
        while radio.due is not None and radio.due < 62:
            step = radio.step(radio.due)
            sent += [step] if step.write else []
    assert sent == [PRESET] * 3
    assert [line["reason"] for line in log] == ["the radio does not answer"]
    radio.step(62)
    radio.heard([FIRMWARE], 62.5)
    assert radio.step(62.75) == PRESET


def test_a_refused_preset_is_told_once_in_the_radio_s_words_and_its_mending_too() -> None:
    radio = conversation(preset="fsktag")
    radio.opened(0)
    with capture_logs() as log:
        for poll_at in (2, 62, 122):
            assert radio.step(poll_at) == VERSION
            radio.heard([FIRMWARE], poll_at)
            for attempt in range(3):
                assert radio.step(poll_at + 1 + attempt) == PRESET
                radio.heard([REFUSED], poll_at + 1 + attempt)
        assert problem_of(radio) == "preset fsktag is not set: bad arg"
        radio.step(182)
        radio.heard([FIRMWARE], 182)
        radio.step(183)
        radio.heard([ACCEPTED], 183)
    assert problem_of(radio) is None
    told = [(line["event"], line["log_level"]) for line in log if line["event"] != "radio answers"]
    assert told == [("preset not set", "warning"), ("preset set", "warning")]


def test_replies_to_other_commands_are_not_taken_for_the_preset_s() -> None:
    radio = conversation(preset="fsktag")
    radio.opened(0)
    radio.step(2)
    radio.heard([FIRMWARE, ACCEPTED], 2)
    assert radio.step(2.25) == PRESET
    radio.heard([CommandReply(command="rxbw", ok=True)], 2.5)
    assert radio.step(4.25) == NOTHING
    assert radio.step(4.5) == PRESET


def test_an_error_of_the_radio_is_told_once_an_opening() -> None:
    radio = conversation()
    radio.opened(0)
    with capture_logs() as log:
        for _ in range(5):
            radio.heard([RadioError(message="Radio Init Failed")], 1)
        for number in range(100):
            radio.heard([RadioError(message=f"noise {number}")], 1)
    assert log[0]["error"] == "Radio Init Failed"
    assert len(log) == 8
