"""Serve the dashboard from this process, until it is stopped."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any, Final

from toolops_plugins.dashboard import options
from toolops_plugins.errors import ConfigurationError, TierError

__all__ = ["check_port", "serve"]

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

_SETTINGS: Final[dict[str, Any]] = {
    # Nothing leaves this machine, and nobody is asked for an address.
    "browser.gatherUsageStats": False,
    "server.showEmailPrompt": False,
    "client.showErrorLinks": False,
    # No "Deploy", no menu of developers.
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "logger.hideWelcomeMessage": True,
    "logger.level": "warning",
    # The pages are part of an installed package, which nobody edits while it runs.
    "server.fileWatcherType": "none",
    "runner.magicEnabled": False,
    # Of both themes: a colour for all would be a theme of its own, and always light.
    "theme.light.primaryColor": "#23805f",
    "theme.dark.primaryColor": "#4cb890",
    "theme.baseFontSize": 15,
    "theme.metricValueFontSize": "1.55rem",
    "theme.headingFontSizes": ["1.7rem", "1.35rem", "1.1rem", "1rem", "1rem", "1rem"],
    "theme.headingFontWeights": [600, 600, 600, 600, 600, 600],
    "theme.paddingTop": "1rem",
}


def serve(
    chosen: options.Options, *, host: str = "127.0.0.1", port: int = 8501, browser: bool = False
) -> None:
    """Serve the dashboard until Ctrl-C or SIGTERM, which end it with the open pages.

    Args:
        chosen: The ledger, and what may be done.
        host: The address to listen at. Default: this machine only.
        port: The port. Default 8501.
        browser: Whether to open a browser. Default False.

    Raises:
        ConfigurationError: Streamlit is not installed, or the address is none of this machine's.
        TierError: The port is in use, or not allowed.
    """
    try:
        from streamlit import config  # noqa: PLC0415 - an extra
        from streamlit.web import bootstrap  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "streamlit":
            raise
        raise ConfigurationError(
            "dashboard", "needs Streamlit: pip install 'toolops-plugins[dashboard]'"
        ) from None
    check_port(host, port)
    options.configure(chosen)
    settings = {
        **_SETTINGS,
        "server.address": host,
        "server.port": port,
        "server.headless": not browser,
    }
    # Of wildcards, Streamlit would ask a server in the internet for this machine's address.
    if host not in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not listened at
        settings["browser.serverAddress"] = host
    # A page in the internet may give its own name this machine's address, and so reach what
    # listens for this machine alone. Behind a proxy, the variable names the proxy's host.
    if host in _LOOPBACK and "STREAMLIT_SERVER_ALLOWED_HOSTS" not in os.environ:
        settings["server.allowedHosts"] = list(_LOOPBACK)
    # Before the application reads them, and stronger than files that Streamlit finds here.
    config.get_config_options(force_reparse=True, options_from_flags=settings)
    flags = {name.replace(".", "_"): value for name, value in settings.items()}
    bootstrap.run(str(Path(__file__).parent / "app.py"), False, [], flags)  # noqa: FBT003 - is_hello


def check_port(host: str, port: int) -> None:
    """Check that a port can be listened at.

    Raises:
        ConfigurationError: The address is none of this machine's.
        TierError: The port is in use, or not allowed.
    """
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind, protocol) as probe:
            # As the server does: a connection that is closing is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise TierError(
                f"port {port} of {host} is in use: stop what listens there, or choose another by "
                "--port"
            ) from None
        if error.errno == errno.EACCES:
            raise TierError(
                f"port {port} is not allowed to this user; choose one from 1024 on by --port"
            ) from None
        raise ConfigurationError(
            "--host", f"must be an address of this machine, not {host!r}"
        ) from None
