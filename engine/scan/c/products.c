/* Large products of matrices, and what kernels ask for while they run. */
#include <stdlib.h>
#include "runtime.h"
#include "pool.h"
#include "tiles.h"

/* ---- large products ---- */

#define DEPTH_BLOCK 256 /* of a panel that stays in the first-level cache's neighbour */
#define ROW_BLOCK 96

typedef struct {
    long rows, columns, depth;
    const real *a;
    long a_row, a_depth;
    const real *b;
    long b_depth, b_column;
    const real *bias;
    real *c, *packed;
    long panels, pieces;
    atomic_long panel, panels_done, piece; /* to be taken next */
} product_job;

/* Whoever comes takes the next panel to pack, and then the next rows to compute. */
static void multiply(void *pointer, int me, int all) {
    (void)me, (void)all;
    product_job *j = pointer;
    for (long n; (n = atomic_fetch_add(&j->panel, 1)) < j->panels;) {
        pack(j->depth, j->columns, j->b, j->b_depth, j->b_column, n, n + 1, j->packed);
        atomic_fetch_add(&j->panels_done, 1);
    }
    for (int spins = 0; atomic_load(&j->panels_done) < j->panels;) wait_a_moment(&spins);
    for (long p; (p = atomic_fetch_add(&j->piece, 1)) < j->pieces;) {
        const long strips = (j->rows + TILE_ROWS - 1) / TILE_ROWS;
        const long first = strips * p / j->pieces * TILE_ROWS;
        long last = strips * (p + 1) / j->pieces * TILE_ROWS;
        if (last > j->rows) last = j->rows;
        for (long k = 0; k == 0 || k < j->depth; k += DEPTH_BLOCK) { /* once without any depth too */
            const long deep = j->depth - k < DEPTH_BLOCK ? j->depth - k : DEPTH_BLOCK;
            for (long m = first; m < last; m += ROW_BLOCK) {
                const long high = last - m < ROW_BLOCK ? last - m : ROW_BLOCK;
                for (long n = 0; n < j->columns; n += PANEL)
                    panel_product(high, deep, j->a + m * j->a_row + k * j->a_depth, j->a_row,
                                  j->a_depth, j->packed + n * j->depth + k * PANEL,
                                  j->c + m * j->columns + n, j->columns, j->columns - n,
                                  k ? ADD : j->bias ? BIAS : FRESH, j->bias ? j->bias + n : 0);
            }
        }
    }
}

/* c (rows, columns), contiguous, = a times b, each with any strides, plus a row of bias, which may
   be missing; 1: no memory. */
int product(long rows, long columns, long depth, const real *a, long a_row, long a_depth,
            const real *b, long b_depth, long b_column, const real *bias, real *c, int threads) {
    if (!rows || !columns) return 0;
    void *packed;
    if (posix_memalign(&packed, 64, sizeof(real) * (packed_size(depth, columns) + 1))) return 1;
    const long panels = (columns + PANEL - 1) / PANEL, blocks = (rows + ROW_BLOCK - 1) / ROW_BLOCK;
    /* Some for each thread, so that one that comes late leaves little to wait for. */
    const long pieces = threads < 2 || blocks > 8 * threads ? blocks : 8 * threads;
    product_job job = {.rows = rows, .columns = columns, .depth = depth, .a = a, .a_row = a_row,
                       .a_depth = a_depth, .b = b, .b_depth = b_depth, .b_column = b_column,
                       .bias = bias, .c = c, .packed = packed, .panels = panels,
                       .pieces = pieces};
    run_together(multiply, &job, threads, 0);
    free(packed);
    return 0;
}

/* What kernels ask of this library. */
const services offered = {sweep, meet, packed_product};

/* The elementary functions, for tests of their accuracy. */
void evaluate(int which, long count, const real *restrict x, real *restrict y) {
    if (which == 0) for (long i = 0; i < count; i++) y[i] = exponential(x[i]);
    if (which == 1) for (long i = 0; i < count; i++) y[i] = hyptan(x[i]);
    if (which == 2) for (long i = 0; i < count; i++) y[i] = logistic(x[i]);
}

/* How many numbers a packed weight takes, and packing a whole one. */
long packed(long rows, long columns) { return packed_size(rows, columns); }

void pack_all(long rows, long columns, const real *w, long row_step, long column_step, real *out) {
    pack(rows, columns, w, row_step, column_step, 0, (columns + PANEL - 1) / PANEL, out);
}
