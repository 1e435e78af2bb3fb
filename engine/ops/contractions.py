"""Sum products beyond the matrix product: einsum, tensordot, vecdot, outer, kron.

Sums are brought into the form of one matrix product. Compositions, above `products`.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

from engine.apply import asarray
from engine.checks import axes_of, whole
from engine.ops.diagonals import diagonal
from engine.ops.products import matmul
from engine.ops.reductions import sum_
from engine.ops.shaping import permute_dims, reshape
from engine.registry import composition
from engine.tensor import Tensor

__all__ = ["einsum", "kron", "outer", "tensordot", "vecdot"]

Term = tuple[Tensor, str]  # a tensor and a letter for each of its axes


@composition
def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """Return sums of products along an axis, counted from the end; the others broadcast.

    Raises ValueError where the sizes of that axis differ.

    >>> engine.vecdot([[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    rank = min(x1.ndim, x2.ndim)
    if not -rank <= whole("vecdot: axis", axis) < 0:
        raise ValueError(f"vecdot: axis must lie in {-rank} to -1, got {axis}")
    if x1.shape[axis] != x2.shape[axis]:
        raise ValueError(f"vecdot: {x1.shape}, {x2.shape}: sizes on axis {axis} differ")
    product = x1 * x2
    return sum_(product, axis=axis, dtype=product.dtype)


@composition
def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """Return the products of all elements: (M,), (N,) -> (M, N). Raises ValueError for others.

    >>> engine.outer([1, 2], [3, 4, 5]).tolist()
    [[3, 4, 5], [6, 8, 10]]
    """
    if x1.ndim != 1 or x2.ndim != 1:
        raise ValueError(f"outer: needs two vectors, got {x1.shape} and {x2.shape}")
    return reshape(x1, (-1, 1)) * x2


@composition
def kron(x1: Any, x2: Any, /) -> Tensor:
    """Return every element of x1 times the whole of x2, in its place: sizes multiply, axis by axis.

    Where one has fewer axes than the other, axes of size 1 are put in front, as in NumPy.

    >>> engine.kron(engine.asarray([1.0, 10.0]), engine.asarray([2.0, 3.0]))
    tensor([ 2.,  3., 20., 30.], dtype=float32)
    """
    a, b = asarray(x1), asarray(x2)
    rank = max(a.ndim, b.ndim)
    rows, columns = ((1,) * (rank - x.ndim) + x.shape for x in (a, b))
    a = reshape(a, tuple(n for size in rows for n in (size, 1)))
    b = reshape(b, tuple(n for size in columns for n in (1, size)))
    return reshape(a * b, tuple(m * n for m, n in zip(rows, columns, strict=True)))


@composition
def tensordot(
    x1: Tensor, x2: Tensor, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2
) -> Tensor:
    """Return the sum of products over axes of x1 and x2: the last n and the first n, or pairs.

    Raises ValueError for axes that are not there, are given twice or differ in size.

    >>> engine.tensordot(engine.ones((2, 3, 4)), engine.ones((3, 4, 5))).shape
    (2, 5)
    """
    if isinstance(axes, tuple | list):
        first, second = axes
    else:
        count = whole("tensordot: axes", axes)
        first, second = tuple(range(x1.ndim - count, x1.ndim)), tuple(range(count))
        if not 0 <= count <= min(x1.ndim, x2.ndim):
            raise ValueError(f"tensordot: axes {axes} do not fit {x1.shape} and {x2.shape}")
    left, right = axes_of("tensordot", first, x1.ndim), axes_of("tensordot", second, x2.ndim)
    sizes = [x1.shape[one] for one in left], [x2.shape[one] for one in right]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"tensordot: axes {axes} of {x1.shape} and {x2.shape} have sizes {sizes[0]} and "
            f"{sizes[1]}; expected the same"
        )
    own = [one for one in range(x1.ndim) if one not in left]
    other = [one for one in range(x2.ndim) if one not in right]
    shape = (*(x1.shape[one] for one in own), *(x2.shape[one] for one in other))
    depth = prod(sizes[0])
    a = reshape(permute_dims(x1, (*own, *left)), (prod(shape[: len(own)]), depth))
    b = reshape(permute_dims(x2, (*right, *other)), (depth, prod(shape[len(own) :])))
    return reshape(matmul(a, b), shape)


@composition
def einsum(equation: str, /, *tensors: Any) -> Tensor:
    """Return sums of products by Einstein's convention: ``einsum("tbi,hi->tbh", x, w)``.

    Letters stand for axes, repeated ones are taken on the diagonal, those that are not in the
    output are summed over; ``...`` stands for axes that broadcast. Without ``->`` the output has
    the letters that occur once, in order. Pairs are contracted from left to right.
    Raises ValueError where letters, axes or sizes do not fit.

    >>> engine.einsum("ij,jk->ik", engine.ones((2, 3)), engine.ones((3, 4))).shape
    (2, 4)
    """
    given = [x if isinstance(x, Tensor) else asarray(x) for x in tensors]
    terms, result = _parsed(equation, given)
    sizes: dict[str, int] = {}
    for x, letters in terms:
        for letter, size in zip(letters, x.shape, strict=True):
            known = sizes.get(letter, 1)
            if 1 not in (known, size) and known != size:
                raise ValueError(f"einsum {equation!r}: {letter} has sizes {known} and {size}")
            sizes[letter] = max(known, size)
    terms = [_diagonals(x, letters) for x, letters in terms]
    while len(terms) > 1:
        left, right = terms[0], terms[1]
        needed = set(result).union(*(letters for _, letters in terms[2:]))
        terms = [_contracted(left, right, needed), *terms[2:]]
    x, letters = _summed(terms[0], set(result))
    return permute_dims(x, tuple(letters.index(one) for one in result)) if letters else x


def _parsed(equation: str, tensors: list[Tensor]) -> tuple[list[Term], str]:
    """Return the letters of every tensor and of the output; axes under ``...`` get their own."""
    front, arrow, result = equation.replace(" ", "").partition("->")
    parts = front.split(",")
    if len(parts) != len(tensors):
        raise ValueError(f"einsum {equation!r}: {len(tensors)} tensors for {len(parts)} terms")
    letters = set(equation) - set(" ,.->")
    if not all(letter.isalpha() for letter in letters):
        raise ValueError(f"einsum {equation!r}: axes are named by letters")
    free = [chr(code) for code in range(0x3B1, 0x3B1 + 64) if chr(code) not in letters]
    spread = [x.ndim - len(part.replace("...", "")) for x, part in zip(tensors, parts, strict=True)]
    wide = max((n for n, part in zip(spread, parts, strict=True) if "..." in part), default=0)
    terms = []
    for x, part, extra in zip(tensors, parts, spread, strict=True):
        if extra < 0 or (extra and "..." not in part):
            raise ValueError(f"einsum {equation!r}: {part!r} does not name the axes of {x.shape}")
        terms.append((x, part.replace("...", "".join(free[wide - extra : wide]))))
    if not arrow:
        every = "".join(names for _, names in terms)
        own = sorted(one for one in letters if every.count(one) == 1)
        result = "..." + "".join(own)
    result = result.replace("...", "".join(free[:wide]))
    known = set("".join(names for _, names in terms))
    if len(set(result)) != len(result) or not set(result) <= known:
        raise ValueError(f"einsum {equation!r}: the output {result!r} has letters of no input")
    return terms, result


def _diagonals(x: Tensor, letters: str) -> Term:
    """Return a tensor with one axis for each letter."""
    for letter in letters:
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ValueError(
                    f"einsum: {letter} stands for two axes of one tensor, of sizes "
                    f"{x.shape[first]} and {x.shape[second]}; a diagonal has one size"
                )
            x = diagonal(x, axis1=first, axis2=second)
            letters = letters[:first] + letters[first + 1 : second] + letters[second + 1 :] + letter
    return x, letters


def _summed(term: Term, needed: set[str]) -> Term:
    """Return a tensor without the axes that nothing needs."""
    x, letters = term
    axes = tuple(i for i, letter in enumerate(letters) if letter not in needed)
    if not axes:
        return term
    return sum_(x, axis=axes, dtype=x.dtype), "".join(
        letter for letter in letters if letter in needed
    )


def _contracted(left: Term, right: Term, needed: set[str]) -> Term:
    """Return two tensors as one: one matrix product over batches of axes that both have."""
    left = _summed(left, needed | set(right[1]))
    right = _summed(right, needed | set(left[1]))
    (x, a), (y, b) = left, right
    both = [one for one in a if one in b]
    ones = [one for one in both if 1 in (x.shape[a.index(one)], y.shape[b.index(one)])]
    if any(x.shape[a.index(one)] != y.shape[b.index(one)] for one in ones):
        return _multiplied(left, right, needed)
    batch = [one for one in both if one in needed]
    inner = [one for one in both if one not in needed]
    rows = [one for one in a if one not in both]
    columns = [one for one in b if one not in both]
    m = permute_dims(x, tuple(a.index(one) for one in (*batch, *rows, *inner)))
    n = permute_dims(y, tuple(b.index(one) for one in (*batch, *inner, *columns)))
    front = m.shape[: len(batch)]
    outside = m.shape[len(batch) : len(batch) + len(rows)], n.shape[len(batch) + len(inner) :]
    depth = prod(n.shape[len(batch) : len(batch) + len(inner)])
    m = reshape(m, (*front, prod(outside[0]), depth))
    n = reshape(n, (*front, depth, prod(outside[1])))
    out = reshape(matmul(m, n), (*front, *outside[0], *outside[1]))
    return out, "".join((*batch, *rows, *columns))


def _multiplied(left: Term, right: Term, needed: set[str]) -> Term:
    """Return two tensors as one where an axis of size 1 broadcasts: multiplied and summed."""
    letters = left[1] + "".join(one for one in right[1] if one not in left[1])
    return _summed((_spread(left, letters) * _spread(right, letters), letters), needed)


def _spread(term: Term, letters: str) -> Tensor:
    """Return a tensor with an axis for every letter, of size 1 for those that it lacks."""
    x, own = term
    x = permute_dims(x, tuple(own.index(one) for one in letters if one in own))
    sizes = iter(x.shape)
    return reshape(x, tuple(next(sizes) if one in own else 1 for one in letters))
