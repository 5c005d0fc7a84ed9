"""Links made from their settings: each with its intake, and what its own protocol needs."""

from collections.abc import Callable

from receiver.intakes.stream import StreamIntake
from receiver.links.intake import LinkStatus
from receiver.pipeline import Pipeline
from receiver.radio_settings import SoftwareRadioLink
from receiver.settings import Link, SerialLink, SocketLink
from receiver.supervision.links import RunsForEver


def connect(
    settings: Link,
    status: LinkStatus,
    pipeline: Pipeline,
    station_id: str,
    known_tags: Callable[[], frozenset[str]] = frozenset,
) -> RunsForEver:
    """Return a link that hands what it hears to the pipeline; call it on the loop that runs it.

    `known_tags` returns the ids on the station's lists; it may read files, and is called off the
    loop.
    """
    # Each kind is imported where it is used: a station of dongles needs no MQTT in its memory.
    if isinstance(settings, SerialLink):
        from receiver.links import serial  # noqa: PLC0415

        conversation = serial.conversation_for(settings, status)
        intake = StreamIntake(pipeline, settings, status, serial.listener_of(conversation))
        return serial.SerialLink(settings, intake, status, conversation=conversation)
    if isinstance(settings, SocketLink):
        from receiver.links import socket  # noqa: PLC0415

        return socket.SocketLink(settings, StreamIntake(pipeline, settings, status), status)
    if isinstance(settings, SoftwareRadioLink):
        from receiver.intakes.radio import RadioIntake  # noqa: PLC0415
        from receiver.links import software_radio  # noqa: PLC0415

        radio_intake = RadioIntake(pipeline, settings, status)
        return software_radio.SoftwareRadio(settings, radio_intake, status, known_tags)
    from receiver.intakes.messages import MessageIntake  # noqa: PLC0415
    from receiver.links import mqtt, station_links  # noqa: PLC0415

    receivers = station_links.StationLinks(settings.name, status)
    listeners = {station_links.DECODER: receivers.message}
    return mqtt.MqttLink(
        settings,
        MessageIntake(pipeline, settings, status, listeners),
        status,
        station_id,
        station_links=receivers,
    )
