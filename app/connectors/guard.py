"""Keeps connectors away from private addresses, at the socket, where neither names nor redirects get round it."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.connector import AddrInfoType

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_IPV4_INSIDE: Final = tuple(ipaddress.IPv6Network(network) for network in ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96"))
"""Where gateways of IPv6-only networks (RFC 6052, before that RFC 2765), and IPv6 of long ago, put IPv4 addresses: in
the last 32 bits."""
_LOCAL: Final = tuple(
    ipaddress.IPv6Network(network) for network in ("64:ff9b:1::/48", "fec0::/10", "3fff::/20", "5f00::/16")
)
"""Networks of one site or for examples (RFC 8215, RFC 3879, RFC 9637, RFC 9602), which Python takes for global."""


class PrivateAddressError(OSError):
    """A name or address leads into a private network; the text says how to allow it."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet, also where IPv4 is wrapped in IPv6."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if any(found in network for network in _LOCAL):
        return False
    wrapped = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    if any(found in network for network in _IPV4_INSIDE):
        wrapped = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return (wrapped or found).is_global and not found.is_multicast


def authority(url: str) -> str:
    """host:port of an address, in small letters. Raises ValueError for an address that cannot be read."""
    parts = urlsplit(url)
    return f"{bracketed((parts.hostname or '').lower())}:{parts.port or DEFAULT_PORTS.get(parts.scheme, 0)}"


def is_web_address(text: str) -> bool:
    """Whether a text is an http or https address with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", text)
    except ValueError:
        return False


def bracketed(host: str) -> str:
    """A host as it stands in an address, where a port may follow: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def allowed(url: str, allow: Iterable[str]) -> bool:
    """Whether `[fetch] allow` names the host:port of an address."""
    return authority(url) in {entry.lower() for entry in allow}


def guarded_connector() -> aiohttp.TCPConnector:
    """A connector that opens no socket to a private address."""
    return aiohttp.TCPConnector(socket_factory=_public_socket)


def _public_socket(info: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, address = info
    host: Any = address[0]
    if not is_public(str(host)):
        raise PrivateAddressError(
            f"{host} is a private address; if that is meant, add its host:port to [fetch] allow in marquee.toml"
        )
    return socket.socket(family=family, type=kind, proto=protocol)
