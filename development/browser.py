"""A browser for the tests of the web app: found, or got, and tried.

    python -m development.browser [--get]      with the Python of the environment, which has Playwright

prints the path of one that can be started. Without one it says why on standard error, and its exit code is 3.
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
"""Where the programs of a system lie that PATH may leave out."""

PATH = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM))


def browser(get: bool) -> str | None:
    """The path of a browser that can be started; ``get``: where there is none, install one."""
    if named := os.environ.get("CHROMIUM"):
        return named if starts(named) else None
    ways: list[Callable[[], Iterable[str]]] = [found, *([get_from_debian, get_from_playwright] if get else [])]
    return next((path for way in ways for path in way() if starts(path)), None)


def found() -> Iterator[str]:
    """The browsers that are there: the system's, and what Playwright has downloaded before."""
    yield from (path for name in NAMES if (path := shutil.which(name, path=PATH)) is not None)
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    if os.path.exists(path):
        yield path


def starts(path: str) -> bool:
    """Whether a browser can be started; if not, says why."""
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
    """Install Debian's package, as root on a system that has such packages."""
    apt = shutil.which("apt-get", path=PATH)
    if apt is None or not is_root():
        return
    say("The tests of the web app need a browser: installing the package chromium with apt-get …")
    # without the mark of supervision: an installation that is interrupted ends in its own time, and is not killed halfway
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
    """Download the browser that Playwright is made for, to the user's own cache."""
    say("The tests of the web app need a browser: downloading Chromium with Playwright, to its folder in your cache …")
    # Playwright's own program trusts other certificates than Python does; behind a company's proxy it needs the company's as well
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
        say(f"Playwright could not download it. {why[0] if why else done.stderr.strip()[-500:]}")
        return
    yield from found()


def is_root() -> bool:
    """Whether this process may do anything on this machine."""
    return sys.platform != "win32" and os.geteuid() == 0


def say(text: str) -> None:
    """Tell the person at the terminal; standard output is for the path."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    path = browser(sys.argv[1:] == ["--get"])
    if path is None:
        sys.exit(3)
    print(path)
