"""Which networks Label Studio may not call: all reserved ones, less single addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

# Its own list (core/utils/io.py of the pinned version): with one address taken out of it, the rest
# must be given in full.
BANNED = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
    "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "233.252.0.0/24", "240.0.0.0/4",
    "255.255.255.255/32", "::/128", "::1/128", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96",
    "64:ff9b:1::/48", "100::/64", "2001:0000::/32", "2001:20::/28", "2001:db8::/32", "2002::/16",
    "fc00::/7", "fe80::/10", "ff00::/8",
)  # fmt: skip


def is_banned(host: str) -> bool:
    """Is this the number of an address in one of these networks? A name is none."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(one) for one in BANNED)


def all_but(addresses: Sequence[str]) -> list[str]:
    """The banned networks without these addresses, as the fewest networks that say so."""
    networks = [ipaddress.ip_network(one) for one in BANNED]
    for address in addresses:
        single = ipaddress.ip_network(address)
        networks = [part for one in networks for part in _without(one, single)]
    return [str(one) for one in networks]


def _without(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
    single: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    if network.version != single.version or not single.subnet_of(network):  # type: ignore[arg-type]
        return [network]
    return list(network.address_exclude(single))  # type: ignore[arg-type]
