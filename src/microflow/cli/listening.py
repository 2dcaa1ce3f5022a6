"""The sockets that a server listens on, bound before anything else starts, so that a port that is taken is known exactly.

``localhost`` is 127.0.0.1, and ::1 too where this machine has it: a browser may ask for either, and nobody else may answer one.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Sequence

from ..errors import ServerError

LOCAL = ("localhost", "127.0.0.1", "::1")
"""The hosts that only programs on this machine can reach."""

EVERY_ADDRESS = ("0.0.0.0", "::")

_BACKLOG = 1024
_TRIES = 20
"""How often another free port is tried where one is free for IPv4 alone."""

_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen at this host and port; port 0 is any that is free, and the same for all of them.

    Raises ``ServerError`` saying what is wrong: the port is taken, is not allowed, or the host is not this machine's.
    """
    if not host:
        raise ServerError(
            "The host is empty. Give an address of this machine with --host."
        )  # to Windows it means this machine
    for tries_left in reversed(range(_TRIES if port == 0 else 1)):
        try:
            return _listen(host, port)
        except OSError as error:
            if not (tries_left and error.errno == errno.EADDRINUSE):
                raise ServerError(_why_not(host, port, error)) from error
        except UnicodeError as error:  # a name that no host can have: a part of it is empty, too long, or no text
            raise ServerError(
                f"The host {host!r} is not a host's name. Give an address of this machine with --host."
            ) from error
    raise AssertionError("the last try returns or raises")


def port_of(sockets: Sequence[socket.socket]) -> int:
    """The port that they listen on."""
    return int(sockets[0].getsockname()[1])


def url_of(host: str, port: int) -> str:
    """The URL by which a browser on this machine reaches the server."""
    name = "localhost" if host in EVERY_ADDRESS else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def names_of(host: str) -> tuple[str, ...]:
    """The names, as they stand in a Host header, that a server at this host is asked for by, beside this machine's own."""
    if host in LOCAL:
        return ()
    return ("*",) if host in EVERY_ADDRESS else (f"[{host}]" if ":" in host else host,)


def _listen(host: str, port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for family, address in _addresses(host):
            try:
                sockets.append(_socket(family, address, port))
            except OSError as error:
                if host == "localhost" and family != socket.AF_INET and error.errno in _NO_SUCH_ADDRESS:
                    continue  # this machine has no IPv6
                raise
            port = port_of(sockets)
    except BaseException:
        for opened in sockets:
            opened.close()
        raise
    return sockets


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if host == "localhost":
        return [(socket.AF_INET, "127.0.0.1")] + ([(socket.AF_INET6, "::1")] if socket.has_ipv6 else [])
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _socket(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # a server that has just ended leaves connections behind; a port where somebody listens stays taken all the same
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, port))
        made.listen(_BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _why_not(host: str, port: int, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"The host {host!r} is not known ({error.strerror}). Give an address of this machine with --host."
    if error.errno == errno.EADDRINUSE or getattr(error, "winerror", None) == 10013:
        return (
            f"Port {port} is taken: another program listens there. Stop it, or give another port with --port "
            "(0 takes any that is free)."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this user. Give one from 1024 on with --port."
    if error.errno in _NO_SUCH_ADDRESS:
        return f"{host!r} is no address of this machine. Give one that is with --host, or 0.0.0.0 for all of them."
    return f"The server can't listen at {host}, port {port}: {error.strerror}."
