"""Draws queries per second against recall, as an SVG by hand: the benches need nothing installed for it."""
from math import floor, log10

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 230, 40, 50
# Told apart also by those who do not see red and green.
COLOURS = ["#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#009e73", "#cc79a7", "#000000"]
RECALL_MIN = 0.80


def draw(path, title, series):
    """`series`: for each name its points (recall, queries per second)."""
    series = {name: sorted(point for point in points if point[0] >= RECALL_MIN) for name, points in series.items()}
    rates = [rate for points in series.values() for _, rate in points]
    low, high = log10(min(rates)) - 0.05, log10(max(rates)) + 0.05

    def place(recall, rate):
        across = LEFT + (recall - RECALL_MIN) / (1 - RECALL_MIN) * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - (log10(rate) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             f'<text x="{LEFT}" y="24" font-size="14">{title}</text>']
    for step in range(5):
        recall = RECALL_MIN + step * (1 - RECALL_MIN) / 4
        across, down = place(recall, 10**low)
        parts.append(f'<path d="M{across:.1f} {TOP}V{down:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{across:.1f}" y="{down + 18:.1f}" text-anchor="middle">{recall:.2f}</text>')
    for rate in rungs(low, high):
        across, down = place(RECALL_MIN, rate)
        parts.append(f'<path d="M{across:.1f} {down:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{across - 6:.1f}" y="{down + 4:.1f}" text-anchor="end">{rate:,}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">recall@10</text>')
    parts.append(f'<text x="16" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 16 {HEIGHT / 2})">'
                 'queries per second of processor time</text>')
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        spots = [place(*point) for point in points]
        line = " ".join(f"{across:.1f},{down:.1f}" for across, down in spots)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{colour}"/>' for across, down in spots]
        down = TOP + 12 + 20 * number
        parts.append(f'<path d="M{WIDTH - RIGHT + 16} {down - 4}h18" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 40}" y="{down}">{name}</text>')
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def rungs(low, high):
    """Round numbers between two powers of ten: 1, 2 and 5 of each."""
    found = [digit * 10**power for power in range(floor(low), floor(high) + 1) for digit in (1, 2, 5) if power >= 0]
    return [rate for rate in found if low <= log10(rate) <= high]
