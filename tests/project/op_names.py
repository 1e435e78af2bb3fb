"""Find where a source file tells ops by their names, which only their records should know."""

import ast
from collections.abc import Iterator
from pathlib import Path

import engine

# Tables that translate ops from or to another language, by file; and why these are no records.
TRANSLATIONS = {
    "engine/scan/combining.py": {"STEPS": "to ops that combine", "WHOLE": "to ops that combine"},
    "rnn/cells/terms.py": {"SYMBOLS": "to LaTeX", "FUNCTIONS": "to LaTeX"},
    "rnn/interop/onnx_arithmetic.py": {"ARITHMETIC": "to ONNX"},
    "rnn/interop/onnx_arranging.py": {"ARRANGING": "to ONNX"},
    "rnn/interop/onnx_operators.py": dict.fromkeys(
        ("PLAIN", "COMPARING", "LOGICAL", "BITWISE", "REDUCING", "COMPOSED"), "to ONNX"
    ),
    "rnn/optim/fused.py": {"OPERATORS": "from the operators of Python"},
    "viz/labels.py": {"SYMBOLS": "to signs in boxes"},
    "viz/cells/signs.py": {"BETWEEN": "to signs in boxes", "SIGNS": "to signs in boxes"},
    "viz/charts/gates.py": {"SIGNED": "to colours; compositions, which have no record, are in it"},
}
# Words that are names of ops too, by file and by what they are assigned to or stand in.
WORDS = {
    "rnn/cells/xlstm.py": {"FORGETTING": "values of an argument"},
    "rnn/initializers.py": {"GAINS": "values of an argument, of PyTorch"},
    "rnn/interop/keras_parts.py": {"ACTIVATIONS": "of Keras"},
    "rnn/interop/onnx_weights.py": {"ELMAN": "values of an argument of cells"},
    "rnn/interop/pytorch.py": {"tanh relu": "of PyTorch"},
    "rnn/schedules/onecycle.py": {"ANNEALED": "values of an argument, of PyTorch"},
    "rnn/schedules/plateau.py": {"min max": "values of an argument, of PyTorch"},
    "rnn/training/monitoring.py": {"MODES": "values of an argument"},
}
NODES = {"LEAF", "SCAN", "OUTPUT", "RELEASED"}  # records of the engine that no user calls


class OpNames(ast.NodeVisitor):
    """Collect the places of a file where an op is told by its name, by line."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.allowed = {*TRANSLATIONS.get(place, {}), *WORDS.get(place, {}), "__all__"}
        self.tables = {name for own in TRANSLATIONS.values() for name in own} | {"REGISTRY"}
        self.bound: set[str] = set()  # variables that hold the name of an op
        self.found: dict[int, str] = {}
        self.used: set[str] = set()  # what is allowed and there

    def note(self, node: ast.expr) -> None:
        self.found.setdefault(node.lineno, f"{self.place}:{node.lineno}: {ast.unparse(node)[:70]}")

    def is_name(self, node: ast.expr) -> bool:
        text = ast.unparse(node)
        return text in self.bound or f".{text}".endswith(".op.name")

    def is_table(self, node: ast.expr) -> bool:
        """Tell whether an expression is a table that is not known to translate."""
        name = ast.unparse(node).rpartition(".")[2]
        return name.isupper() and name not in self.tables

    def is_record(self, node: ast.expr) -> bool:
        """Tell whether an expression is the record of one op, as ADD, record(add), add.op."""
        if isinstance(node, ast.Call):
            return any(ast.unparse(own) in engine.REGISTRY for own in node.args)
        *_, owner, last = ("", *ast.unparse(node).split("."))
        if last == "op":
            return owner in engine.REGISTRY
        return isinstance(node, ast.Name | ast.Attribute) and last.isupper() and last not in NODES

    def visit_Assign(self, node: ast.Assign) -> None:
        self._assigned(node, node.targets, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._assigned(node, [node.target], node.value)

    def _assigned(self, node: ast.AST, targets: list[ast.expr], value: ast.expr | None) -> None:
        names = {ast.unparse(one) for one in targets}
        if value is not None and self.is_name(value):
            self.bound |= names
        self.used |= names & self.allowed
        if not names & self.allowed:
            self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        of_op = any(self.is_name(one) or f".{ast.unparse(one)}".endswith(".op") for one in sides)
        words = any(word in engine.REGISTRY for one in sides for word in strings(one))
        inside = isinstance(node.ops[0], ast.In | ast.NotIn)
        if of_op and (words or any(map(self.is_table if inside else self.is_record, sides))):
            self.note(node)
        self.generic_visit(node)

    def visit_Match(self, node: ast.Match) -> None:
        words = [word for case in node.cases for word in strings(case.pattern)]
        subject = f".{ast.unparse(node.subject)}"
        if self.is_name(node.subject) or (
            subject.endswith(".op") and any(word in engine.REGISTRY for word in words)
        ):
            self.note(node.subject)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if self.is_name(node.slice) and self.is_table(node.value):
            self.note(node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        asks = isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args
        if asks and self.is_name(node.args[0]) and self.is_table(node.func.value):
            self.note(node)
        self.generic_visit(node)

    def visit_List(self, node: ast.List | ast.Tuple | ast.Set | ast.Dict) -> None:
        entries = node.keys if isinstance(node, ast.Dict) else node.elts
        words = [one.value for one in entries
                 if isinstance(one, ast.Constant) and isinstance(one.value, str)]  # fmt: skip
        ops = sum(word in engine.REGISTRY for word in words)
        if ops > 1 and 2 * ops > len(words):
            self.used |= {" ".join(words)} & self.allowed
            if " ".join(words) not in self.allowed:
                self.note(node)
        self.generic_visit(node)

    visit_Tuple = visit_Set = visit_Dict = visit_List


def strings(node: ast.AST) -> Iterator[str]:
    """Yield the strings in an expression or a pattern."""
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


def read(path: Path, root: Path, tree: ast.AST) -> OpNames:
    """Return what a file, of this syntax tree, says of names of ops.

    `found` are lines of file, line and text.
    """
    visitor = OpNames(path.relative_to(root).as_posix())
    visitor.visit(tree)
    return visitor
