"""Types that several tables of settings share, each with its bounds and its sentence of help."""

from typing import Annotated, Final, TypeAlias

from msgspec import Meta

Name: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
]

Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]

LinkName: TypeAlias = Annotated[Name, Meta(description="This link's name in rows and logs.")]

AntennaLabel: TypeAlias = Annotated[
    Label | None, Meta(description="Your label for the antenna on this radio.")
]

BrokerUrl: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^mqtts?://[^/\s:@]+(:[0-9]{1,5})?$",
        description="mqtt://HOST[:PORT], or mqtts:// for TLS (ports 1883 and 8883).",
    ),
]

PasswordFile: TypeAlias = Annotated[
    str | None, Meta(description="File whose first line is the password.")
]

CaFile: TypeAlias = Annotated[
    str | None, Meta(description="Certificates to trust (PEM), else the system's.")
]

CertificateFile: TypeAlias = Annotated[
    str | None, Meta(description="An own certificate (PEM), where asked for.")
]

KeyFile: TypeAlias = Annotated[str | None, Meta(description="The key of that certificate (PEM).")]

LOGIN_FILES: Final = ("password_file", "ca_file", "certificate_file", "key_file")
"""The keys of these files, in every table that logs in somewhere."""
