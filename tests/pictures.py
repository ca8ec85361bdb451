"""Pictures of the pages of the console, for readers: `python -m tests.pictures [FOLDER]`.

With a folder, it also writes them dark and as on a phone, to look at.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.e2e.login_pages import browser_of
from tests.e2e.test_every_page import PAGES, log_in, open_page
from tests.running_platform import ROOT, Running, started

PICTURES = ROOT / "docs" / "images" / "console"
COLORS = 128


def main() -> None:
    """Starts a platform with the sample, and takes the pictures."""
    others = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as home, started(Path(home)) as platform:
        take(platform, PICTURES, width=1440, scheme="light")
        if others is not None:
            take(platform, others / "dark", width=1440, scheme="dark")
            take(platform, others / "phone", width=390, scheme="light")


def take(platform: Running, folder: Path, *, width: int, scheme: str) -> None:
    """Writes a picture of each page."""
    folder.mkdir(parents=True, exist_ok=True)
    with browser_of() as browser:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        log_in(page, platform)
        for name, path in PAGES.items():
            open_page(page, f"{platform.url}{path}")
            file = folder / f"{name}.png"
            page.screenshot(path=file, animations="disabled")
            with Image.open(file) as picture:
                picture.convert("RGB").quantize(COLORS).save(file, optimize=True)
            sys.stdout.write(f"{file.name}\n")


if __name__ == "__main__":
    main()
