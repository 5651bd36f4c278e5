"""Commands as they are typed on each system."""

from bakeoff.doctor.machine import System

INSTALL_TORCH = "uv pip install --reinstall --torch-backend=auto torch"
"""uv chooses the build that suits the driver."""

_INSTALLERS = {
    "Linux": "sudo apt-get install -y {linux}",
    "Darwin": "brew install {linux}",
    "Windows": "winget install --id {windows}",
}


def set_variable(system: System, name: str, value: str) -> str:
    """Now and for later sessions; on Windows in PowerShell."""
    if system == "Windows":
        return f'setx {name} "{value}"; $env:{name} = "{value}"'
    profile = "~/.zshrc" if system == "Darwin" else "~/.bashrc"
    return f"export {name}={value}; echo 'export {name}={value}' >> {profile}"


def unset_variable(system: System, name: str) -> str:
    if system == "Windows":
        return (
            f'[Environment]::SetEnvironmentVariable("{name}", $null, "User"); $env:{name} = $null'
        )
    return f"unset {name}"


def install(system: System, *, linux: str, windows: str) -> str:
    return _INSTALLERS[system].format(linux=linux, windows=windows)
