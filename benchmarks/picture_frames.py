"""Time the frames of an interactive page that pans in a real Chromium. Below `pictures.py`.

The browser is that of the tests, without a GPU; it shows at most 60 frames a second, so 16.7 ms is
the least there is.
"""

import tempfile
from pathlib import Path
from typing import Any

FRAMES = 60
ZOOMS = {"full": 1.0, "fifth": 0.2, "whole": 0.0}  # pixels of the screen to one of the picture
PANNING = """async (count) => {
  const times = [];
  await new Promise((done) => {
    let n = 0, before = performance.now();
    const frame = (now) => {
      times.push(now - before);
      before = now;
      app.camera.pan(n % 60 < 30 ? -23 : 23, 0);
      n += 1;
      if (n < count + 3) requestAnimationFrame(frame); else done();
    };
    requestAnimationFrame(frame);
  });
  return times.slice(3).sort((a, b) => a - b);
}"""


def frames(pages: list[Path]) -> dict[str, Any]:
    """Return the median and the slowest twentieth of 60 frames in ms, for each page and zoom.

    Where there is no browser, ``{"not_run": reason}``.
    """
    try:
        import pytest

        from tests.browser import chromium, visit
    except ImportError as error:
        return {"not_run": str(error)}
    try:
        with chromium() as browser, tempfile.TemporaryDirectory() as folder:
            found: dict[str, Any] = {"browser": f"Chromium {browser.version}", "pages": {}}
            for path in pages:
                with visit(browser, path.read_text(encoding="utf-8"), Path(folder)) as opened:
                    found["pages"][path.name] = _panned(opened)
                print(path.name, found["pages"][path.name], flush=True)
            return found
    except pytest.skip.Exception as reason:
        return {"not_run": str(reason)}


def _panned(opened: Any) -> dict[str, Any]:
    result: dict[str, Any] = {"drawn_as": opened("() => app.model.data.mode")}
    for name, scale in ZOOMS.items():
        opened(f"() => {{ app.camera.start(); app.camera.zoom({scale} / app.camera.k || 1e-9); }}")
        times = opened.page.evaluate(PANNING, FRAMES)
        result[name] = {
            "scale": opened("() => app.camera.k"),
            "median": times[len(times) // 2],
            "slowest_twentieth": times[len(times) * 19 // 20],
        }
    return result
