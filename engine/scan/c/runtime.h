/* What every generated kernel includes: elementary functions right to the last bits, and what the
   library of products offers to kernels. `real` is float or double. Nothing of the system is
   included: to read its headers takes a tenth of the time of a small kernel. */
typedef __INT32_TYPE__ int32_t;
typedef __UINT32_TYPE__ uint32_t;
#define NAN __builtin_nanf("")
#define INFINITY __builtin_inff()

#define INLINE static inline __attribute__((always_inline))
/* A kernel with many calls of the functions below compiles many times faster where they stay
   functions, which have versions for whole vectors. */
#ifdef MANY_CALLS
#define FUNCTION _Pragma("omp declare simd notinbranch") static __attribute__((noinline, const))
#else
#define FUNCTION INLINE
#endif

/* What a thread computes: rows `first` to `last` in steps `from` to `to`, as one of `lanes` threads
   that share the units of these rows and `meet` after each part of a step. */
typedef struct {
    long first, last, from, to, lane, lanes;
    struct meeting *place;
    long met; /* how often this thread has been there */
} turn;
typedef void (*steps)(void *job, turn *own);

typedef void (*work)(void *job, int me, int all);

/* From pool.c: threads for any job, waiting until as many were counted, threads for all steps, and
   a place to meet after each part of a step. From products.c: c (rows, columns) = a times a packed
   weight (depth, columns), of which this thread computes its share of columns, and the same of a
   weight as it is, (columns, depth) where it is `turned`. */
typedef struct {
    void (*in_parallel)(work todo, void *job, int threads);
    void (*wait_for)(const _Atomic long *count, long least);
    void (*sweep)(steps todo, void *job, long count, long rows, int threads, int lanes, long cost);
    void (*meet)(turn *own);
    void (*packed_product)(long rows, long columns, long depth, const real *a, long a_step,
                           const real *packed, real *c, long c_step, long lane, long lanes);
    void (*plain_product)(long rows, long columns, long depth, const real *a, const real *w,
                          int turned, real *c);
} services;

/* The first of the units of a lane, of which there are `blocks` of `wide`. */
#define SHARE(blocks, wide, lane) ((blocks) * (lane) / lanes * (wide))

/* ---- elementary functions ---- */

#ifdef REAL_IS_FLOAT

typedef union {
    float f;
    int32_t i;
} bits;

#define MAGIC 12582912.0f /* 1.5 * 2^23: adding it rounds, and leaves the whole number in the bits */
#define POWER(n) (((bits){.i = (int32_t)((uint32_t)(n) << 23)}).f) /* 2^(n - 127) */

/* x = n log 2 + r with n whole and |r| <= log 2 / 2: gives r, and n both ways. */
INLINE float reduced(float x, int32_t *n) {
    const bits sum = {__builtin_fmaf(x, 1.44269504088896341f, MAGIC)};
    const float whole = sum.f - MAGIC;
    *n = sum.i - ((bits){MAGIC}).i;
    return __builtin_fmaf(whole, -1.42860682030941723e-6f,
                          __builtin_fmaf(whole, -0.693145751953125f, x));
}

/* e^r - 1 for |r| <= log 2 / 2: a minimax polynomial, 5e-9 off at most. */
INLINE float near_zero(float r) {
    float p = 1.39505381e-3f;
    p = __builtin_fmaf(p, r, 8.36891774e-3f);
    p = __builtin_fmaf(p, r, 4.1666206e-2f);
    p = __builtin_fmaf(p, r, 1.66665182e-1f);
    p = __builtin_fmaf(p, r, 0.5f);
    return __builtin_fmaf(p * r, r, r);
}

/* e^x = 2^n e^r, the power in two factors so that subnormal results are rounded once. */
FUNCTION float exponential(float x) {
    const float bounded = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x; /* NaN stays */
    int32_t n;
    const float r = reduced(bounded, &n);
    const int32_t half = n >> 1;
    return (near_zero(r) + 1.0f) * POWER(half + 127) * POWER(n - half + 127);
}

/* tanh x = q / (q + 2) with q = e^2x - 1 = 2^n (e^r - 1) + 2^n - 1, which does not cancel. */
FUNCTION float hyptan(float x) {
    const float bounded = x < -9.1f ? -9.1f : x > 9.1f ? 9.1f : x;
    int32_t n;
    const float r = reduced(2.0f * bounded, &n);
    const float power = POWER(n + 127), q = __builtin_fmaf(power, near_zero(r), power - 1.0f);
    return __builtin_copysignf(q / (q + 2.0f), x);
}

/* 1 / (1 + e^-x) = t / (t + e^r) with e^-x = e^r / t: no overflow, and subnormals as they are. */
FUNCTION float logistic(float x) {
    const float bounded = x < -104.0f ? -104.0f : x > 30.0f ? 30.0f : x;
    int32_t n;
    const float r = reduced(-bounded, &n);
    const int32_t half = n >> 1;
    const float t = POWER(127 - half) * POWER(127 - (n - half));
    return t / (t + near_zero(r) + 1.0f);
}

#define OF(name) __builtin_##name##f
#else
INLINE double exponential(double x) { return __builtin_exp(x); }
INLINE double hyptan(double x) { return __builtin_tanh(x); }
INLINE double logistic(double x) {
    const double e = __builtin_exp(x < 0 ? x : -x);
    return (x < 0 ? e : 1.0) / (1.0 + e);
}
#define OF(name) __builtin_##name
#endif

/* NumPy takes a few exponents that are written as numbers by other functions: the root of -inf. */
INLINE real raised(real x, real y) {
    if (__builtin_constant_p(y)) {
        if (y == (real)2) return x * x;
        if (y == (real)1) return x;
        if (y == (real)-1) return (real)1 / x;
        if (y == (real)0.5) return OF(sqrt)(x);
    }
    return OF(pow)(x, y);
}

#include "functions.h"
