"""Draws the ratios of a comparison as SVG: one group of bars a cell, one bar a peer, a whisker between the quartiles."""

from xml.sax.saxutils import escape

from results import Cell

COLORS = {"onnxruntime": "#5b7fb4", "openvino": "#8a6bb0", "ncnn": "#d98c3f", "mnn": "#5fa777"}
LABELS, UNIT, BAR, GAP = 250, 190, 9, 10  # pixels: label column, one times libvision's time, a bar, between cells


def _text(x: float, y: float, words: str, anchor="start", size=11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'


def _bar(y: float, name: str, ratio) -> list[str]:
    middle = y + BAR / 2
    low, high = (LABELS + value * UNIT for value in (ratio.low, ratio.high))
    return [
        f'<rect x="{LABELS}" y="{y:.1f}" width="{ratio.median * UNIT:.1f}" height="{BAR - 1}" fill="{COLORS[name]}"/>',
        f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}" stroke="#333"/>',
        _text(high + 4, y + BAR - 1, f"{ratio.median:.2f}", size=9),
    ]


def svg(cells: list[Cell], title: str, titles: dict[str, str], names: dict[str, str]) -> str:
    """A whole file. A bar longer than the line at 1 means that libvision is faster than that peer."""
    peers = [name for name in COLORS if any(name in cell.ratios for cell in cells)]
    top = 56
    body, y = [], top
    for cell in cells:
        present = [name for name in peers if name in cell.ratios]
        label = f"{titles[cell.network]}, batch {cell.batch}, {cell.threads} thread{'s' * (cell.threads > 1)}"
        body.append(_text(LABELS - 8, y + len(present) * BAR / 2 + 4, label, "end"))
        for name in present:
            body += _bar(y, name, cell.ratios[name])
            y += BAR
        y += GAP
    most = max(ratio.high for cell in cells for ratio in cell.ratios.values())
    width = LABELS + UNIT * most + 50
    heading = [_text(8, 18, f"{title}: a peer's time over libvision's", size=14)]
    for index, name in enumerate(peers):
        x = LABELS + index * 110
        heading.append(f'<rect x="{x}" y="28" width="10" height="10" fill="{COLORS[name]}"/>')
        heading.append(_text(x + 14, 37, names[name]))
    ticks = []
    for step in range(int(most * 2) + 1):
        x = LABELS + step * UNIT / 2
        line = '#333" stroke-width="1.5' if step == 2 else "#ddd"
        ticks.append(f'<path d="M{x:.1f} {top - 6}V{y:.1f}" stroke="{line}"/>')
        ticks.append(_text(x, top - 9, f"{step / 2:.1f}", "middle", 9))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{max(width, 720):.0f}" height="{y + 8:.0f}" '
        'font-family="sans-serif">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(heading + ticks + body) + "\n</svg>\n"
    )
