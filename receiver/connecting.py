"""Links made from their settings: each with its intake, and what its own protocol needs."""

from receiver.links.intake import LinkStatus
from receiver.pipeline import Pipeline
from receiver.settings import Link, SerialLink, SocketLink
from receiver.supervision.links import RunsForEver


def connect(settings: Link, status: LinkStatus, pipeline: Pipeline, station_id: str) -> RunsForEver:
    """Return a link that hands what it hears to the pipeline; call it on the loop that runs it."""
    # Each kind is imported where it is used: a station of dongles needs no MQTT in its memory.
    if isinstance(settings, SerialLink):
        from receiver.links import serial  # noqa: PLC0415

        conversation = serial.conversation_for(settings, status)
        intake = pipeline.stream_intake(settings, status, serial.listener_of(conversation))
        return serial.SerialLink(settings, intake, status, conversation=conversation)
    if isinstance(settings, SocketLink):
        from receiver.links import socket  # noqa: PLC0415

        return socket.SocketLink(settings, pipeline.stream_intake(settings, status), status)
    from receiver.links import mqtt, station_links  # noqa: PLC0415

    receivers = station_links.StationLinks(settings.name, status)
    listeners = {station_links.DECODER: receivers.message}
    return mqtt.MqttLink(
        settings,
        pipeline.message_intake(settings, status, listeners),
        status,
        station_id,
        station_links=receivers,
    )
