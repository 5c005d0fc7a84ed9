"""The errors of this package, rooted once.

Errors of construct, struct, json and binascii never leave `protocols`: what arrives over the air is
hostile input, and a decoder answers it with records (`Unknown`, `Ignored`), not with exceptions.
These errors are for callers that use the schemas directly and for wrong use.
"""


class ProtocolError(ValueError):
    """The root of every error that this package raises."""


class PacketError(ProtocolError):
    """Bytes that do not hold the packet that was asked for; the message says at which field."""


class EncodeError(ProtocolError):
    """A value that the layout cannot carry; the message names field, value and range."""


class UnknownDecoderError(ProtocolError):
    """A decoder that nobody registered, or not for such input; the message says why."""


class FileFormatError(ProtocolError):
    """A recorded file that is none of the kinds we read, or is damaged; the message says where."""
