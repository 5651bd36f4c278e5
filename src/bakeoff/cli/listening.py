"""The address at which a command answers."""

import socket
import sys

from bakeoff.base.errors import UserError


def listen(host: str, port: int, *, command: str) -> socket.socket:
    """Take an address; a port that is taken is the person's mistake."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    if sys.platform != "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UserError(
            f"cannot listen at {host}:{port}: {error.strerror or error}",
            hint=f"is another `bakeoff {command}` open? --port 0 takes any port that is free",
        ) from error
    return listener


def url_of(host: str, port: int) -> str:
    """As others would type it."""
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{port}"
