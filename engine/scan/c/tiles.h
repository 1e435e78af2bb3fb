/* The register-tiled product over packed weights, sized for the machine's vectors. */
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define TILE_ROWS 12
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define TILE_ROWS 6
#elif defined(__aarch64__) /* NEON, with 32 registers */
#define VECTOR_BYTES 16
#define TILE_ROWS 8
#else /* SSE2, or scalars that the compiler gathers */
#define VECTOR_BYTES 16
#define TILE_ROWS 4
#endif

typedef real vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
#define LANES ((long)(VECTOR_BYTES / sizeof(real)))
#define PANEL (2 * LANES) /* columns of a tile: two vectors */
#define UNROLLED _Pragma("GCC unroll 16") /* so that sums are registers */

/* ---- packed weights: panels of PANEL columns, row by row, zeros past the last column ---- */

static long packed_size(long rows, long columns) {
    return (columns + PANEL - 1) / PANEL * PANEL * rows;
}

/* Make rows of columns: as many vectors as there are lanes, number l of vector i to i of l. */
INLINE void transpose(vec *rows) {
#ifdef __clang__
    real turned[LANES][LANES];
    for (long i = 0; i < LANES; i++)
        for (long l = 0; l < LANES; l++) turned[l][i] = ((const real *)&rows[i])[l];
    memcpy(rows, turned, sizeof turned);
#else
    typedef __typeof__((vec){0} < (vec){0}) places;
    UNROLLED for (long s = LANES / 2; s; s /= 2) {
        places low, high;
        UNROLLED for (long l = 0; l < LANES; l++) {
            low[l] = l & s ? LANES + (l ^ s) : l;
            high[l] = l & s ? LANES + l : l ^ s;
        }
        UNROLLED for (long i = 0; i < LANES; i++) {
            if (i & s) continue;
            const vec one = rows[i], other = rows[i | s];
            rows[i] = __builtin_shuffle(one, other, low);
            rows[i | s] = __builtin_shuffle(one, other, high);
        }
    }
#endif
}

/* Some columns of a transposed view, which is read along its rows, into a panel. */
static void pack_across(long rows, long columns, const real *from, long column_step, real *p) {
    long c = 0;
    for (; c + LANES <= columns; c += LANES) {
        long k = 0;
        for (; k + LANES <= rows; k += LANES) {
            vec block[LANES];
            UNROLLED for (long i = 0; i < LANES; i++)
                block[i] = *(const vec *)(from + (c + i) * column_step + k);
            transpose(block);
            UNROLLED for (long i = 0; i < LANES; i++) *(vec *)(p + (k + i) * PANEL + c) = block[i];
        }
        for (; k < rows; k++)
            for (long i = 0; i < LANES; i++)
                p[k * PANEL + c + i] = from[(c + i) * column_step + k];
    }
    for (; c < columns; c++)
        for (long k = 0; k < rows; k++) p[k * PANEL + c] = from[c * column_step + k];
}

static void pack(long rows, long columns, const real *w, long row_step, long column_step,
                 long first, long last, real *out) {
    for (long panel = first; panel < last; panel++) {
        const long n = panel * PANEL, wide = columns - n < PANEL ? columns - n : PANEL;
        real *p = out + n * rows;
        if (row_step == 1) {
            pack_across(rows, wide, w + n * column_step, column_step, p);
        } else {
            for (long k = 0; k < rows; k++) {
                const real *from = w + k * row_step + n * column_step;
                for (long c = 0; c < wide; c++) p[k * PANEL + c] = from[c * column_step];
            }
        }
        for (long k = 0; k < rows && wide < PANEL; k++)
            for (long c = wide; c < PANEL; c++) p[k * PANEL + c] = 0;
    }
}

/* ---- the tile: some rows of a times one panel or several, summed in registers ---- */

/* What is added to the sums: nothing, what is in c, or a row of bias. */
enum { FRESH, ADD, BIAS };

INLINE vec part(const real *from, long wide) {
    if (wide >= LANES) return *(const vec *)from;
    real row[LANES] = {0};
    if (wide > 0) memcpy(row, from, sizeof(real) * wide);
    return *(const vec *)row;
}

INLINE void store(vec sum, real *to, long wide) {
    if (wide >= LANES) {
        *(vec *)to = sum;
    } else if (wide > 0) {
        real row[LANES];
        *(vec *)row = sum;
        memcpy(to, row, sizeof(real) * wide);
    }
}

/* `from` is added to the sums, row after row; 0: nothing. It is so at the end: the sums of a block of
   the depth are put together apart from those before, as rounding would grow with the whole depth. */
INLINE void tile(const long rows, const long vectors, long depth, const real *a, long row_step,
                 long depth_step, const real *p, long panel_step, const real *from, long from_step,
                 real *c, long c_step) {
    vec sum[TILE_ROWS][8];
    UNROLLED for (long i = 0; i < rows; i++)
        UNROLLED for (long v = 0; v < vectors; v++) sum[i][v] = (vec){0};
    for (long k = 0; k < depth; k++, p += PANEL, a += depth_step) {
        vec weight[8];
        UNROLLED for (long v = 0; v < vectors; v++)
            weight[v] = *(const vec *)(p + v / 2 * panel_step + v % 2 * LANES);
        UNROLLED for (long i = 0; i < rows; i++) {
            const real one = a[i * row_step];
            UNROLLED for (long v = 0; v < vectors; v++) sum[i][v] += weight[v] * one;
        }
    }
    UNROLLED for (long i = 0; i < rows; i++)
        UNROLLED for (long v = 0; v < vectors; v++) {
            if (from) sum[i][v] += *(const vec *)(from + i * from_step + v * LANES);
            *(vec *)(c + i * c_step + v * LANES) = sum[i][v];
        }
}

/* A strip of R rows and V vectors of columns; few rows take several panels at once, so that enough
   sums are under way. */
#define STRIP(R, V)                                                                        \
    static __attribute__((noinline)) void strip##R##_##V(                                  \
        long depth, const real *a, long row_step, long depth_step, const real *p,          \
        long panel_step, const real *from, long from_step, real *c, long c_step) {         \
        tile(R, V, depth, a, row_step, depth_step, p, panel_step, from, from_step, c, c_step);\
    }
typedef void (*strip)(long, const real *, long, long, const real *, long, const real *, long,
                      real *, long);

#define BOTH(R) STRIP(R, 1) STRIP(R, 2)
BOTH(1) BOTH(2) BOTH(3) BOTH(4) STRIP(1, 8) STRIP(2, 4) STRIP(3, 4)
#if TILE_ROWS >= 6
BOTH(5) BOTH(6)
#endif
#if TILE_ROWS >= 8
BOTH(7) BOTH(8)
#endif
#if TILE_ROWS >= 12
BOTH(9) BOTH(10) BOTH(11) BOTH(12)
#endif

/* By rows, and by whether one vector is enough or a whole panel is wanted. */
static const strip STRIPS[TILE_ROWS + 1][2] = {
#define PAIR(R) {strip##R##_1, strip##R##_2}
    {0, 0}, PAIR(1), PAIR(2), PAIR(3), PAIR(4),
#if TILE_ROWS >= 6
    PAIR(5), PAIR(6),
#endif
#if TILE_ROWS >= 8
    PAIR(7), PAIR(8),
#endif
#if TILE_ROWS >= 12
    PAIR(9), PAIR(10), PAIR(11), PAIR(12),
#endif
};

/* A strip of which `wide` columns are there: where they are fewer it works on a copy. */
static void run_strip(strip run, long rows, long vectors, long depth, const real *a, long row_step,
                      long depth_step, const real *p, long panel_step, real *c, long c_step,
                      long wide, int start, const real *bias) {
    const real *from = start == FRESH ? 0 : start == ADD ? c : bias;
    const long from_step = start == ADD ? c_step : 0, whole = vectors * LANES;
    if (wide >= whole) {
        run(depth, a, row_step, depth_step, p, panel_step, from, from_step, c, c_step);
        return;
    }
    real edge[TILE_ROWS * PANEL] = {0};
    for (long i = 0; i < rows && from; i++)
        memcpy(edge + i * whole, from + i * from_step, sizeof(real) * wide);
    run(depth, a, row_step, depth_step, p, panel_step, from ? edge : 0, whole, edge, whole);
    for (long i = 0; i < rows; i++)
        memcpy(c + i * c_step, edge + i * whole, sizeof(real) * wide);
}

/* Rows of a times one panel: strips of nearly equal height. */
static void panel_product(long rows, long depth, const real *a, long row_step, long depth_step,
                          const real *p, real *c, long c_step, long wide, int start,
                          const real *bias) {
    const long strips = (rows + TILE_ROWS - 1) / TILE_ROWS;
    for (long s = 0; s < strips; s++) {
        const long m = rows * s / strips, high = rows * (s + 1) / strips - m;
        run_strip(STRIPS[high][wide > LANES], high, wide > LANES ? 2 : 1, depth, a + m * row_step,
                  row_step, depth_step, p, 0, c + m * c_step, c_step, wide, start, bias);
    }
}

/* c (rows, columns) = a times packed weights (depth, columns): of the columns those of one lane. */
static void packed_product(long rows, long columns, long depth, const real *a, long a_step,
                           const real *packed, real *c, long c_step, long lane, long lanes) {
    if (lanes > 1) {
        const long panels = (columns + PANEL - 1) / PANEL, first = panels * lane / lanes * PANEL;
        const long last = panels * (lane + 1) / lanes * PANEL;
        packed += first * depth, c += first;
        columns = (last < columns ? last : columns) - first;
    }
    const long panel_step = PANEL * depth;
    const long together = rows == 1 ? 4 : rows == 2 || rows == 3 ? 2 : 1;
    const strip several = rows == 1 ? strip1_8 : rows == 2 ? strip2_4 : strip3_4;
    long n = 0;
    for (; together > 1 && n + (together - 1) * PANEL < columns; n += together * PANEL)
        run_strip(several, rows, 2 * together, depth, a, a_step, 1, packed + n * depth, panel_step,
                  c + n, c_step, columns - n, FRESH, 0);
    for (; n < columns; n += PANEL)
        panel_product(rows, depth, a, a_step, 1, packed + n * depth, c + n, c_step, columns - n,
                      FRESH, 0);
}

/* ---- one step alone: weights as they are, each read once ---- */

/* Of as many vectors as there are lanes the sums of all numbers: of vector l in lane l. */
INLINE vec summed(vec *sums) {
#ifdef __clang__
    real totals[LANES];
    for (long i = 0; i < LANES; i++) {
        real row[LANES], total = 0;
        *(vec *)row = sums[i];
        for (long l = 0; l < LANES; l++) total += row[l];
        totals[i] = total;
    }
    return *(const vec *)totals;
#else
    typedef __typeof__((vec){0} < (vec){0}) places;
    UNROLLED for (long s = LANES / 2; s; s /= 2) {
        places own, other;
        UNROLLED for (long l = 0; l < LANES; l++) {
            own[l] = l & s ? LANES + l : l;
            other[l] = own[l] ^ s;
        }
        UNROLLED for (long i = 0; i < s; i++)
            sums[i] = __builtin_shuffle(sums[i], sums[i + s], own) +
                      __builtin_shuffle(sums[i], sums[i + s], other);
    }
    return sums[0];
#endif
}

/* A row of c = a row of a times w, given as (columns, depth): a number of c is a sum along a row. */
static void turned_row(long columns, long depth, const real *a, const real *w, real *c) {
    for (long n = 0; n < columns; n += LANES) {
        const long many = columns - n < LANES ? columns - n : LANES;
        vec sums[LANES];
        UNROLLED for (long i = 0; i < LANES; i++) sums[i] = (vec){0};
        for (long k = 0; k < depth; k += LANES) {
            const vec x = part(a + k, depth - k);
            UNROLLED for (long i = 0; i < LANES; i++)
                sums[i] += x * part(w + (n + (i < many ? i : 0)) * depth + k, depth - k);
        }
        store(summed(sums), c + n, many);
    }
}

/* The same of w (depth, columns). */
static void plain_row(long columns, long depth, const real *a, const real *w, real *c) {
    long n = 0;
    for (; n + 8 * LANES <= columns; n += 8 * LANES) {
        vec sums[8];
        UNROLLED for (long v = 0; v < 8; v++) sums[v] = (vec){0};
        for (long k = 0; k < depth; k++)
            UNROLLED for (long v = 0; v < 8; v++)
                sums[v] += *(const vec *)(w + k * columns + n + v * LANES) * a[k];
        UNROLLED for (long v = 0; v < 8; v++) *(vec *)(c + n + v * LANES) = sums[v];
    }
    for (; n < columns; n += LANES) {
        vec sum = {0};
        for (long k = 0; k < depth; k++) sum += part(w + k * columns + n, columns - n) * a[k];
        store(sum, c + n, columns - n);
    }
}

static void plain_product(long rows, long columns, long depth, const real *a, const real *w,
                          int turned, real *c) {
    for (long m = 0; m < rows; m++)
        (turned ? turned_row : plain_row)(columns, depth, a + m * depth, w, c + m * columns);
}
