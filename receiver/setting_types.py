"""Types that several tables of settings share."""

from typing import Annotated, TypeAlias

from msgspec import Meta

Name: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
]

Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
