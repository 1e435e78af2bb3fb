/* Functions of numbers that are the same in C and in CUDA: the names that the records of the ops use.
   Above them lie `real`, OF, INLINE, exponential, hyptan, logistic and raised, which each language
   has in its own way (`../c/runtime.h`, `../cuda/runtime.cuh`). */

INLINE real exponential1m(real x) { return OF(expm1)(x); }
INLINE real logarithm(real x) { return OF(log)(x); }
INLINE real logarithm1p(real x) { return OF(log1p)(x); }
INLINE real sine(real x) { return OF(sin)(x); }
INLINE real cosine(real x) { return OF(cos)(x); }
INLINE real squareroot(real x) { return OF(sqrt)(x); }
INLINE real absolute(real x) { return OF(fabs)(x); }
INLINE real signum(real x) { return x > 0 ? (real)1 : x < 0 ? (real)-1 : x == 0 ? (real)0 : x; }
/* NumPy's maximum and minimum hand NaN on. */
INLINE real maximum(real x, real y) { return x > y || x != x ? x : y; }
INLINE real minimum(real x, real y) { return x < y || x != x ? x : y; }

/* What is left of x / y rounded down, with the sign of y, as in Python; NaN for y = 0. */
INLINE real modulo(real x, real y) {
    const real rest = OF(fmod)(x, y);
    if (y == 0) return rest;
    if (rest == 0) return OF(copysign)((real)0, y);
    return (y < 0) != (rest < 0) ? rest + y : rest;
}

/* x / y rounded down: the remainder is taken away first, so that the division is exact. */
INLINE real floordivide(real x, real y) {
    if (y == 0) return x / y;
    const real rest = OF(fmod)(x, y);
    const real quotient = (x - rest) / y - (rest != 0 && (y < 0) != (rest < 0) ? 1 : 0);
    if (quotient == 0) return OF(copysign)((real)0, x / y);
    const real whole = OF(floor)(quotient);
    return quotient - whole > (real)0.5 ? whole + 1 : whole;
}

/* log(e^x + e^y); equal infinities stay, and so does NaN. */
INLINE real logsum(real x, real y) {
    if (x == y) return x + (real)0.693147180559945309417232121458176568;
    const real gap = x - y;
    if (gap > 0) return x + logarithm1p(exponential(-gap));
    return gap <= 0 ? y + logarithm1p(exponential(gap)) : gap;
}
