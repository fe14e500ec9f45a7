"""Addresses of clients."""

from ipaddress import IPv6Address, IPv6Network, ip_address

IPV6_SUBSCRIBER_BITS = 64  # what one subscriber gets; the rest of an address they choose themselves


def subscriber_of(address: str) -> str:
    """The part of an address that a client cannot choose."""
    try:
        ip = ip_address(address)
    except ValueError:  # a Unix socket, or a test
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return str(IPv6Network((ip.packed, IPV6_SUBSCRIBER_BITS), strict=False))
