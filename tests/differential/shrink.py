"""Makes a program that shows a difference as short as it can be (delta debugging, Zeller and Hildebrandt 2002)."""

from dataclasses import replace

from programs import Step


def shrink(program: list[Step], still_differs) -> list[Step]:
    """The shortest program found of which `still_differs` holds, as it does of this one."""
    program = fewer_steps(program, still_differs)
    program = simpler_steps(program, still_differs)
    return fewer_steps(program, still_differs)


def fewer_steps(program: list[Step], still_differs) -> list[Step]:
    size = max(len(program) // 2, 1)
    while True:
        place, removed = 0, False
        while place < len(program):
            candidate = program[:place] + program[place + size :]
            if candidate and still_differs(candidate):
                program, removed = candidate, True
            else:
                place += size
        if size == 1 and not removed:
            return program
        size = max(size // 2, 1)


def simpler_steps(program: list[Step], still_differs) -> list[Step]:
    for place, step in enumerate(program):
        for simpler in simpler_forms(step):
            candidate = program[:place] + [simpler] + program[place + 1 :]
            if still_differs(candidate):
                program = candidate
                break
    return program


def simpler_forms(step: Step):
    """The same command with fewer arguments, the fewest first, or with a short one for a long one."""
    words = step.words
    for count in range(2, len(words)):
        yield replace(step, words=words[:count])
    if any(len(word) > 100 for word in words):
        yield replace(step, words=tuple(word[:66] if len(word) > 100 else word for word in words))
