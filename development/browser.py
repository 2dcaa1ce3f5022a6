"""Find or install a browser for the tests of the web app, and check that it starts.

    python -m development.browser [--get]      with the Python of the environment, which has Playwright

This prints the path of a browser that starts. Without one, it prints the reason on standard error, and exits with code 3.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator

from playwright.sync_api import Error, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

SYSTEM = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Folders of system programs that PATH may leave out."""

PATH = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM))


def browser(get: bool) -> str | None:
    """Return the path of a browser that starts. ``get``: install one if there is none."""
    if named := os.environ.get("CHROMIUM"):
        return named if starts(named) else None
    ways: list[Callable[[], Iterable[str]]] = [found, *([get_from_debian, get_from_playwright] if get else [])]
    return next((path for way in ways for path in way() if starts(path)), None)


def found() -> Iterator[str]:
    """Yield the installed browsers: those of the system, and the one that Playwright has downloaded."""
    yield from (path for name in NAMES if (path := shutil.which(name, path=PATH)) is not None)
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    if os.path.exists(path):
        yield path


def starts(path: str) -> bool:
    """Return whether a browser starts; if it does not, print the reason."""
    try:
        with sync_playwright() as playwright:
            playwright.chromium.launch(executable_path=path, args=sandbox_options()).close()
    except Error as error:
        say(f"{path} can't be started: {error.message.splitlines()[0]}")
        return False
    return True


def sandbox_options() -> list[str]:
    """Chromium refuses to start as root with its sandbox."""
    return ["--no-sandbox"] if is_root() else []


def get_from_debian() -> Iterator[str]:
    """Install Debian's package, as root on a system with apt-get."""
    apt = shutil.which("apt-get", path=PATH)
    if apt is None or not is_root():
        return
    say("The tests of the web app need a browser: installing the package chromium with apt-get …")
    # without the mark of supervision: an interrupted installation ends by itself, and is not killed halfway
    kept = {name: value for name, value in os.environ.items() if name not in ("TMPDIR", "TMP", "TEMP")}
    environment = {**kept, "PATH": PATH, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["-qq", "-o", "DPkg::Lock::Timeout=120"]
    for arguments in (["update"], ["install", "--yes", "chromium"]):
        with subprocess.Popen([apt, *options, *arguments], env=environment, stdout=sys.stderr) as running:
            code = running.wait()
        if code:
            say(f"apt-get {arguments[0]} failed with exit code {code}.")
            return
    yield from found()


def get_from_playwright() -> Iterator[str]:
    """Download the browser that Playwright is made for, to the user's cache."""
    say("The tests of the web app need a browser: downloading Chromium with Playwright, to its folder in your cache …")
    # Playwright's program trusts other certificates than Python; behind a company's proxy, it also needs the company's certificates
    certificates = next((os.environ[name] for name in ("PIP_CERT", "SSL_CERT_FILE") if os.environ.get(name)), None)
    environment = {
        "PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "10000",
        **({"NODE_EXTRA_CA_CERTS": certificates} if certificates else {}),
        **os.environ,
    }
    command = [sys.executable, "-m", "playwright", "install", "--no-shell", "--no-progress", "chromium"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        why = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("Error: ")]
        say(f"Playwright could not download Chromium. {why[0] if why else done.stderr.strip()[-500:]}")
        return
    yield from found()


def is_root() -> bool:
    """Return whether this process runs as root."""
    return sys.platform != "win32" and os.geteuid() == 0


def say(text: str) -> None:
    """Print a message for the person at the terminal; standard output is for the path."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    path = browser(sys.argv[1:] == ["--get"])
    if path is None:
        sys.exit(3)
    print(path)
