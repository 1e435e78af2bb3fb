/* What every generated kernel includes: vectors sized for the machine, packed weights, a
   register-tiled product, and elementary functions right to the last bits. `real` is float or
   double. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define TILE_ROWS 12
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define TILE_ROWS 6
#else /* NEON, SSE2, or scalars that the compiler gathers */
#define VECTOR_BYTES 16
#define TILE_ROWS 4
#endif

typedef real vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
#define LANES ((long)(VECTOR_BYTES / sizeof(real)))
#define PANEL (2 * LANES) /* columns of a tile: two vectors */

#define INLINE static inline __attribute__((always_inline))

/* ---- packed weights: panels of PANEL columns, row by row, zeros past the last column ---- */

static long packed_size(long rows, long columns) {
    return (columns + PANEL - 1) / PANEL * PANEL * rows;
}

static void pack(long rows, long columns, const real *w, long row_step, long column_step,
                 long first, long last, real *out) {
    for (long panel = first; panel < last; panel++) {
        const long n = panel * PANEL, wide = columns - n < PANEL ? columns - n : PANEL;
        real *p = out + n * rows;
        if (row_step == 1) { /* a transposed view: read along its rows */
            for (long c = 0; c < wide; c++) {
                const real *from = w + (n + c) * column_step;
                for (long k = 0; k < rows; k++) p[k * PANEL + c] = from[k];
            }
            for (long k = 0; k < rows && wide < PANEL; k++)
                for (long c = wide; c < PANEL; c++) p[k * PANEL + c] = 0;
        } else {
            for (long k = 0; k < rows; k++) {
                const real *from = w + k * row_step + n * column_step;
                for (long c = 0; c < wide; c++) p[k * PANEL + c] = from[c * column_step];
                for (long c = wide; c < PANEL; c++) p[k * PANEL + c] = 0;
            }
        }
    }
}

/* ---- the tile: `rows` rows of a times one panel, summed in registers ---- */

INLINE void tile(const long rows, long depth, const real *a, long row_step, long depth_step,
                 const real *p, real *c, long c_step, long wide, int add) {
    vec sum[TILE_ROWS][2];
    for (long i = 0; i < rows; i++) sum[i][0] = sum[i][1] = (vec){0};
    for (long k = 0; k < depth; k++) {
        const vec p0 = *(const vec *)p, p1 = *(const vec *)(p + LANES);
        p += PANEL;
        for (long i = 0; i < rows; i++) {
            const real one = a[i * row_step + k * depth_step];
            sum[i][0] += p0 * one;
            sum[i][1] += p1 * one;
        }
    }
    if (wide == PANEL) {
        for (long i = 0; i < rows; i++) {
            vec *to = (vec *)(c + i * c_step), *next = (vec *)(c + i * c_step + LANES);
            if (add) sum[i][0] += *to, sum[i][1] += *next;
            *to = sum[i][0];
            *next = sum[i][1];
        }
    } else {
        for (long i = 0; i < rows; i++) {
            real row[PANEL];
            memcpy(row, sum[i], sizeof row);
            for (long j = 0; j < wide; j++)
                c[i * c_step + j] = add ? c[i * c_step + j] + row[j] : row[j];
        }
    }
}

#define STRIP(R)                                                                              \
    static __attribute__((noinline)) void strip##R(long depth, const real *a, long row_step,  \
        long depth_step, const real *p, real *c, long c_step, long wide, int add) {           \
        if (depth_step == 1) tile(R, depth, a, row_step, 1, p, c, c_step, wide, add);         \
        else if (row_step == 1) tile(R, depth, a, 1, depth_step, p, c, c_step, wide, add);    \
        else tile(R, depth, a, row_step, depth_step, p, c, c_step, wide, add);                \
    }
#if TILE_ROWS >= 12
STRIP(12)
STRIP(8)
#endif
#if TILE_ROWS >= 6
STRIP(6)
#endif
STRIP(4)
STRIP(2)
STRIP(1)

/* Rows of a times one panel. */
static void panel_product(long rows, long depth, const real *a, long row_step, long depth_step,
                          const real *p, real *c, long c_step, long wide, int add) {
    long m = 0;
#define RUN(R, WHEN)                                                                          \
    while (m + R <= rows && (WHEN)) {                                                         \
        strip##R(depth, a + m * row_step, row_step, depth_step, p, c + m * c_step, c_step,    \
                 wide, add);                                                                  \
        m += R;                                                                               \
    }
#if TILE_ROWS >= 12
    RUN(12, rows - m != 16)
    RUN(8, 1)
#elif TILE_ROWS >= 6
    RUN(6, rows - m != 8)
#endif
    RUN(4, 1)
    RUN(2, 1)
    RUN(1, 1)
#undef RUN
}

/* c (rows, columns) = a times packed weights (depth, columns). */
static void packed_product(long rows, long columns, long depth, const real *a, long a_step,
                           const real *packed, real *c, long c_step) {
    for (long n = 0; n < columns; n += PANEL)
        panel_product(rows, depth, a, a_step, 1, packed + n * depth, c + n, c_step,
                      columns - n < PANEL ? columns - n : PANEL, 0);
}

/* ---- elementary functions ---- */

#ifdef REAL_IS_FLOAT

/* 2^n for n from -252 to 254, in two factors so that subnormal results are rounded once. */
INLINE float scaled(float x, int n) {
    const int half = n >> 1;
    const union { int32_t i; float f; } a = {(half + 127) << 23}, b = {(n - half + 127) << 23};
    return x * a.f * b.f;
}

/* e^x: x = n log 2 + r, |r| <= log 2 / 2; the coefficients are those of a degree 6 minimax. */
INLINE float exponential(float x) {
    const float bounded = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x; /* NaN stays */
    const float n = __builtin_rintf(bounded * 1.44269504088896341f);
    const float safe = n == n ? n : 0.0f;
    float r = __builtin_fmaf(safe, -0.693145751953125f, bounded);
    r = __builtin_fmaf(safe, -1.42860682030941723e-6f, r);
    float p = 1.3981999e-3f;
    p = __builtin_fmaf(p, r, 8.3334519e-3f);
    p = __builtin_fmaf(p, r, 4.1665796e-2f);
    p = __builtin_fmaf(p, r, 1.6666666e-1f);
    p = __builtin_fmaf(p, r, 0.5f);
    p = __builtin_fmaf(p * r, r, r) + 1.0f;
    return scaled(p, (int)safe);
}

/* tanh: an odd polynomial near 0, where 1 - 2 / (e^2x + 1) would cancel. */
INLINE float hyptan(float x) {
    const float z = x < 0 ? -x : x, s = z * z;
    float p = -5.70498872745e-3f;
    p = __builtin_fmaf(p, s, 2.06390887954e-2f);
    p = __builtin_fmaf(p, s, -5.37397155531e-2f);
    p = __builtin_fmaf(p, s, 1.33314422036e-1f);
    p = __builtin_fmaf(p, s, -3.33332819422e-1f);
    const float small = __builtin_fmaf(p * s, x, x);
    const float large = 1.0f - 2.0f / (exponential(2.0f * z) + 1.0f);
    return z < 0.625f ? small : x < 0 ? -large : large;
}

/* 1 / (1 + e^-x), by e^-|x| so that neither tail overflows. */
INLINE float logistic(float x) {
    const float e = exponential(x < 0 ? x : -x);
    return (x < 0 ? e : 1.0f) / (1.0f + e);
}

#define OF(name) name##f
#else
INLINE double exponential(double x) { return exp(x); }
INLINE double hyptan(double x) { return tanh(x); }
INLINE double logistic(double x) {
    const double e = exp(x < 0 ? x : -x);
    return (x < 0 ? e : 1.0) / (1.0 + e);
}
#define OF(name) name
#endif

INLINE real exponential1m(real x) { return OF(expm1)(x); }
INLINE real logarithm(real x) { return OF(log)(x); }
INLINE real logarithm1p(real x) { return OF(log1p)(x); }
INLINE real sine(real x) { return OF(sin)(x); }
INLINE real cosine(real x) { return OF(cos)(x); }
INLINE real squareroot(real x) { return OF(sqrt)(x); }
INLINE real absolute(real x) { return OF(fabs)(x); }
INLINE real signum(real x) { return x > 0 ? (real)1 : x < 0 ? (real)-1 : x; }
/* NumPy's maximum and minimum hand NaN on. */
INLINE real maximum(real x, real y) { return x > y || x != x ? x : y; }
INLINE real minimum(real x, real y) { return x < y || x != x ? x : y; }
