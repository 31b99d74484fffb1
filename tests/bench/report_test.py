"""The bench's report in a browser: opened from disk by Chromium, all plots are there, and it asks nobody for anything.

Exits with 77, which means skipped, where there is no Chromium.
"""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

SOURCE_DIR = Path(os.environ.get("COLLOQUY_SOURCE_DIR") or Path(__file__).resolve().parents[2])
PROGRAM = os.environ.get("COLLOQUY_PROGRAM") or str(SOURCE_DIR / "build/release/colloquy")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SKIPPED = 77
WIDTH, HEIGHT = 1000, 1700
PLOTS = ["latency", "throughput", "scaling"]
COLOURS = {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x00, 0x9E, 0x73)} # of the first three series


def browse(page, folder, *more):
    """What Chromium prints. It has a folder of its own, and no way to any network."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
               "--disable-background-networking", "--disable-component-update", "--disable-sync",
               "--disable-default-apps", "--disable-extensions", "--disable-dev-shm-usage",
               "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder}", f"--window-size={WIDTH},{HEIGHT}",
               *more, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise AssertionError(f"chromium: {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def pixels_of(png):
    """The colours of a PNG with 8 bits a channel, each with how often it is there."""
    data = png.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, head = 8, b"", None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        chunk = data[at + 8:at + 8 + length]
        head = struct.unpack(">IIBBBBB", chunk) if kind == b"IHDR" else head
        packed += chunk if kind == b"IDAT" else b""
        at += 12 + length
    width, height, depth, colour_type = head[:4]
    assert depth == 8 and colour_type in (2, 6), head
    size = 3 if colour_type == 2 else 4
    raw, stride, before, found = zlib.decompress(packed), width * size, bytearray(width * size), {}
    for y in range(height):
        begin = y * (stride + 1)
        kind, line = raw[begin], bytearray(raw[begin + 1:begin + 1 + stride])
        for i in range(stride):
            left = line[i - size] if i >= size else 0
            up, corner = before[i], before[i - size] if i >= size else 0
            if kind == 1:
                line[i] = (line[i] + left) & 255
            elif kind == 2:
                line[i] = (line[i] + up) & 255
            elif kind == 3:
                line[i] = (line[i] + (left + up) // 2) & 255
            elif kind == 4:
                guess = left + up - corner
                near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
                line[i] = (line[i] + near) & 255
        before = line
        for x in range(0, stride, size):
            colour = tuple(line[x:x + 3])
            found[colour] = found.get(colour, 0) + 1
    return width, height, found


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="colloquy-report-", dir="/tmp"))
        cls.page = cls.folder / "report.html"
        done = subprocess.run([PROGRAM, "bench", "append", "history", "--sessions", "10,30,100", "--warm-up", "100ms",
                               "--duration", "400ms", "--concurrency", "8", "--tenants", "2", "--report", str(cls.page),
                               "--json"], capture_output=True, text=True, timeout=120,
                              env={name: os.environ[name] for name in ("PATH", "HOME", "ASAN_OPTIONS") if name in os.environ})
        assert done.returncode == 0, done.stderr
        cls.report = json.loads(done.stdout.splitlines()[-1])

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def test_nothing_in_it_is_fetched(self):
        text = self.page.read_text()
        self.assertIn("default-src 'none'", text)
        self.assertEqual(re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)|url\(|@import|https?://""", text), [])
        self.assertEqual(re.findall(r"<script(?! type=\"application/json\")", text), [])

    def test_the_figures_are_in_it(self):
        text = self.page.read_text()
        figures = json.loads(re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.S).group(1))
        self.assertEqual(figures, self.report)
        for name in ("machine", "settings"):
            for value in self.report[name].values():
                self.assertIn(value.replace("&", "&amp;"), text)

    def test_a_browser_has_all_plots_with_all_series(self):
        dom = browse(self.page, self.folder / "profile-dom", "--dump-dom")
        for plot in PLOTS:
            svg = re.search(rf'<svg class="plot" id="{plot}".*?</svg>', dom, re.S)
            self.assertIsNotNone(svg, plot)
            lines = re.findall(r'<polyline class="series"[^>]* points="([^"]*)"', svg.group(0))
            # A line for each measurement; of scaling, one for each workload with a point for each number of sessions.
            self.assertEqual(len(lines), 3 if plot == "scaling" else len(self.report["measurements"]), plot)
            for points in lines:
                self.assertEqual(len(points.split()) >= (1 if plot == "latency" else 3), True, (plot, points))
                self.assertNotIn("nan", points)
        self.assertEqual(dom.count("<tr>") >= len(self.report["measurements"]), True)

    def test_a_screenshot_shows_the_lines(self):
        picture = Path(os.environ.get("COLLOQUY_SCREENSHOT") or self.folder / "report.png")
        browse(self.page, self.folder / "profile-shot", f"--screenshot={picture}", "--hide-scrollbars")
        width, height, colours = pixels_of(picture)
        self.assertEqual((width, height), (WIDTH, HEIGHT))
        self.assertGreater(len(colours), 50)
        for colour in COLOURS:
            self.assertGreater(colours.get(colour, 0), 200, (colour, "is not in the picture"))


if __name__ == "__main__":
    if not CHROMIUM:
        print("skipped: there is no chromium here")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
