"""Find the kernels in the text of a source, and declare its shared memory as g++ takes it.

Below `_build.py`. All that is done by text stands here; the rest of CUDA's words are macros of
../emulator/cuda.h.
"""

import re

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_ALIGN = r"(?:(?:__align__|alignas)\s*\(\s*\w+\s*\)\s*)?"
_DYNAMIC = re.compile(rf"extern\s+__shared__\s+{_ALIGN}([\w:][\w\s:]*?)\s+(\w+)\s*\[\s*\]")
_STATIC = re.compile(
    rf"\b__shared__\s+{_ALIGN}[\w:][\w\s:<>]*?\s((?:\w+\s*(?:\[[^;\[\]]*\]\s*)*,?\s*)+);"
)


class CannotCompileError(Exception):
    """Report the compiler's words."""


def for_the_cpu(source):
    """Return a source with shared memory declared as g++ takes it. Raises CannotCompileError.

    Accesses by the name of a thread-local variable are not checked by -fsanitize, so each is hidden
    behind a reference of the same name.
    """
    if re.search(r"^\s*#\s*include", _COMMENT.sub(" ", source), re.MULTILINE):
        raise CannotCompileError("the emulator has no headers: a source includes nothing")
    source = _DYNAMIC.sub(lambda one: f"EMULATED_DYNAMIC_SHARED({one[1]}, {one[2]})", source)
    return _STATIC.sub(_seen, source)


def _seen(found):
    """Return a declaration of shared variables with the references that are checked."""
    names = re.findall(r"(\w+)\s*(?:\[|,|$)", re.sub(r"\[[^\[\]]*\]", "[", found[1]))
    begin = found.start(1) - found.start()
    renamed = re.sub(rf"\b({'|'.join(names)})\b(?=\s*(?:\[|,|$))", r"emulated_\1", found[1])
    references = "".join(f" auto& {name} = emulated_seen(emulated_{name});" for name in names)
    return f"{found[0][:begin]}{renamed};{references}"


def kernels_of(source: str) -> list[tuple[str, str]]:
    """Return the name and the launch bound of each kernel that is no template."""
    source = _COMMENT.sub(" ", source)
    found = []
    for start in re.finditer(r"__global__", source):
        before, rest = source[: start.start()].rstrip(), source[start.end() :]
        while before.endswith(("static", "inline", "__forceinline__")):
            before = before.rsplit(None, 1)[0].rstrip()
        bound = "1024"
        at = rest.find("__launch_bounds__")
        if 0 <= at < rest.find("{") and re.fullmatch(r"\s*(void\s*)?", rest[:at]):
            inner, rest = _parentheses(rest[at + len("__launch_bounds__") :])
            bound = inner
        name = re.match(r"\s*(?:void\s+)?(\w+)\s*\(", rest)
        if name and not before.endswith(">"):
            found.append((name[1], bound))
    return list(dict(found).items())


def _parentheses(text: str) -> tuple[str, str]:
    """Return what the first parentheses hold, and what follows them."""
    depth, begin = 0, text.index("(")
    for i in range(begin, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if not depth:
            return text[begin + 1 : i], text[i + 1 :]
    raise CannotCompileError("a parenthesis of __launch_bounds__ is not closed")
