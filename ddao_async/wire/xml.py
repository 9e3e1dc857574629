"""
The little of XML that S3's answers need: texts with their entities read, trees without namespaces.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_ENTITY = re.compile(r"&(?:#x([0-9A-Fa-f]{1,6})|#([0-9]{1,7})|(lt|gt|amp|quot|apos));")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}


class MalformedXml(ValueError):
    """These bytes are not the XML that they should be."""


def plain_text(text: str) -> str:
    """Return a text with its entities read: XML's own five and numbers (`html.unescape` knows too many)."""
    return _ENTITY.sub(_character, text) if "&" in text else text


def tree(text: str) -> Element:
    """
    Return the root of a document.

    Raises:
        MalformedXml: It is not well-formed, or has a document type (which could define entities).
    """
    from xml.etree import ElementTree  # 6 ms: who only gets and puts does not pay them

    if "<!DOCTYPE" in text:
        raise MalformedXml("XML with a document type")
    try:
        return ElementTree.fromstring(text)  # noqa: S314  # without a document type there are no entities to expand
    except ElementTree.ParseError as error:
        raise MalformedXml(f"malformed XML ({error})") from error


def name(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def child_text(element: Element, wanted: str) -> str:
    """Return the text of the first child of this name; empty where there is none."""
    return next((child.text or "" for child in element if name(child) == wanted), "")


def _character(found: re.Match[str]) -> str:
    if found[3]:
        return _NAMED[found[3]]
    number = int(found[1], 16) if found[1] else int(found[2])
    # What XML cannot hold stays as it is spelled, so that it is seen.
    return chr(number) if 0 < number < 0xD800 or 0xDFFF < number < 0x110000 else found[0]
