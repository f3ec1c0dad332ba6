"""Two servers, compared over many programs."""

import programs
import servers
from departures import Departures
from runner import Difference, Runner
from shrink import shrink


class Session:
    """A Redis and a subject that run until the end of a `with`."""

    def __init__(self, start_subject, protocol: int, depth: int = 16):
        self.departures = Departures()
        self.protocol = protocol
        self.reference = servers.Redis()
        try:
            self.subject = start_subject()
        except BaseException:
            self.reference.stop()
            raise
        self.runner = Runner(self.reference, self.subject, protocol, self.departures, depth)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.subject.stop()
        finally:
            self.reference.stop()

    def compare(
        self, seed: str, commands: int, families: list[str], only: int | None = None, most: int = 1
    ) -> list[str]:
        """Reports of differences, `most` of them and none twice; an empty list is what one hopes for."""
        reports, met = [], set()
        count = -(-commands // programs.STEPS_PER_PROGRAM)
        for number in range(count) if only is None else [only]:
            program = programs.program(f"{seed}/{number}", families)
            difference = self.runner.run(program)
            if difference and difference.kind() not in met:
                met.add(difference.kind())
                reports.append(self.report(f"seed {seed}, program {number}", program, difference))
                if len(reports) >= most:
                    break
        return reports

    def report(self, where: str, program: list[programs.Step], first: Difference) -> str:
        """The shortest program that shows a difference of this kind, one command after the other if that shows it."""
        program = program[: first.place + 1]
        for depth in (1, self.runner.depth):
            found = self.runner.run(program, depth)
            if found and found.kind() == first.kind():
                break
        else:
            return f"{where}: a difference that came once\n{show(program[-20:])}\n{answers(first)}"

        def still_differs(candidate: list[programs.Step]) -> bool:
            found = self.runner.run(candidate, depth)
            return found is not None and found.kind() == first.kind()

        program = shrink(program, still_differs)
        found = self.runner.run(program, depth) or first
        return f"{where}, RESP{self.protocol}, {depth} at a time\n{show(program)}\n{answers(found)}"


def show(program: list[programs.Step]) -> str:
    lines = []
    for step in program:
        words = " ".join(word_shown(word) for word in step.words[:40])
        more = f" … {len(step.words)} words" if len(step.words) > 40 else ""
        wait = f"   (then wait {step.sleep_ms} ms)" if step.sleep_ms else ""
        lines.append(f"  {step.connection}> {words}{more}{wait}")
    return "\n".join(lines)


def word_shown(word: bytes) -> str:
    """As redis-cli reads it."""
    text = repr(word)[2:-1].replace('"', '\\"')
    shown = text if len(text) <= 100 else f"{text[:40]}…({len(word)} bytes)"
    return shown if shown and shown.isprintable() and not set(shown) & set(" \\\"'") else f'"{shown}"'


def answers(difference: Difference) -> str:
    return f"  expected: {difference.expected}\n  found:    {difference.found}"
