"""What tests record: a session of a serial radio, and the line that it prints for a tag."""

from receiver.recording import Session

SECOND = 10**9
BEEP = b"78664C3304,-75\r\n"
SESSION = Session(
    link="ch1",
    device="/dev/ttyACM0",
    decoder="ctt",
    baud_rate=115_200,
    boot="d6b7b0a6",
    t_ns=100 * SECOND,
    utc_ns=1_788_000_000 * SECOND,
    clock="ntp",
)
