"""The picture of a run is an SVG that any reader takes, with each line and its name."""

import itertools
from xml.etree import ElementTree

from tests.system.soak.chart import draw
from tests.system.soak.growth import Series

SVG = "{http://www.w3.org/2000/svg}"


def test_every_line_is_there_with_its_name_and_names_stand_apart() -> None:
    lines = [Series(f"a<{n}", "MiB", [(t, 80.0 + n) for t in range(1000)], 1.0) for n in range(4)]
    tree = ElementTree.fromstring(draw("Memory & more", lines, "MiB"))  # noqa: S314 - our own picture
    drawn = tree.findall(f"{SVG}polyline")
    assert len(drawn) == 4
    assert all(len(line.attrib["points"].split()) <= 250 for line in drawn)
    names = {text.text: float(text.attrib["y"]) for text in tree.findall(f"{SVG}text") if "a<" in (text.text or "")}
    assert list(names) == ["a<0 80", "a<1 81", "a<2 82", "a<3 83"]
    heights = sorted(names.values())
    assert all(b - a >= 14 for a, b in itertools.pairwise(heights))
