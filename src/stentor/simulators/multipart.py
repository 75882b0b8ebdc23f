"""Multipart forms, as clients upload files with them. Pure."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from typing import NamedTuple


class FormPart(NamedTuple):
    name: str
    filename: str | None
    """None where it is no file; a file may have an empty name."""
    content_type: str
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")


def is_multipart(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() == b"multipart/form-data"


def read_parts(content_type: bytes, body: bytes) -> list[FormPart]:
    """The parts that have a name; what cannot be read is left out."""
    message = BytesParser(policy=HTTP).parsebytes(b"content-type: " + content_type + b"\r\n\r\n" + body)
    found = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            found.append(FormPart(name, part.get_filename(), part.get_content_type(), content))
    return found
