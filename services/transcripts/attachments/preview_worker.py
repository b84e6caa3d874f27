"""The job of a preview worker: draw a picture, or the first page of a PDF, as a PNG of bounded size.

Typst draws it, which the service has for its transcripts. The file is data that a template of this module shows: no
part of it is markup. A worker reads it from the service's temporary folder, because it cannot write files itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.transcripts.attachments.kinds import GIF, JPEG, PNG, WEBP

if TYPE_CHECKING:
    import typst

_TEMPLATE = """
#set page(width: auto, height: auto, margin: 0pt, fill: white)
#context {
  let file = read(sys.inputs.file, encoding: none)
  let most = float(sys.inputs.most) * 1pt
  let size = measure(image(file, format: sys.inputs.format))
  let scale = calc.min(most / calc.max(size.width, size.height), if sys.inputs.format == "pdf" { 4 } else { 4 / 3 })
  let (width, height) = (size.width, size.height).map(side => calc.max(1pt, side * scale))
  image(file, format: sys.inputs.format, width: width, height: height)
}
"""
_PICTURES = {"png": PNG, "jpg": JPEG, "gif": GIF, "webp": WEBP}
_MOST_PIXELS = 40_000_000  # of a picture that is drawn: each needs four bytes
_POINTS_PER_INCH = 72.0  # a point of the page is one pixel of the preview


def job_of(path: Path, format_: str, most: int) -> bytes:
    """Return the job of drawing the file at this path.

    Args:
        path: An absolute path.
        format_: As Typst names it: `png`, `jpg`, `gif`, `webp` or `pdf`.
        most: Pixels of the longer side.
    """
    return json.dumps({"file": str(path), "format": format_, "most": str(most)}).encode()


def begin() -> Callable[[bytes], bytes]:
    """Return the function that a process applies to each job (`services.common.runtime.worker_process`)."""
    import typst

    fonts = typst.Fonts(False, False, [])
    return lambda job: draw(json.loads(job), fonts)


def draw(asked: dict[str, str], fonts: typst.Fonts) -> bytes:
    """Return the PNG of a job; nothing where the file cannot be drawn."""
    import typst

    # In the worker alone: the service loads no reader of files.
    from services.transcripts.attachments.formats import images

    picture = _PICTURES.get(asked["format"])
    if picture and images.pixels(Path(asked["file"]).read_bytes(), picture) > _MOST_PIXELS:
        return b""
    folder, name = str(Path(asked["file"]).parent), f"/{Path(asked['file']).name}"
    try:
        made: Any = typst.compile(  # type: ignore[call-overload]  # its stub wants a template and a folder of one type
            _TEMPLATE.encode(),
            root=folder,
            font_paths=fonts,
            ignore_system_fonts=True,
            format="png",
            ppi=_POINTS_PER_INCH,
            sys_inputs={**asked, "file": name},
        )
    except typst.TypstError:
        return b""
    return bytes(made)
