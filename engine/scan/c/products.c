/* Large products of matrices, and what kernels ask for while they run. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "runtime.h"
#include "tiles.h"

static services offered;

/* What kernels ask for: the threads of the process, which are handed over, and products. */
const services *begin(const services *pool) {
    offered = *pool;
    offered.packed_product = packed_product, offered.plain_product = plain_product;
    return &offered;
}

/* ---- large products ---- */

#define DEPTH_BLOCK 256 /* of a panel that stays in the first-level cache's neighbour */
#define ROW_BLOCK 96
#define SLAB (256 << 10) /* bytes of panels that a thread packs at a time where it has columns */
#define KEPT (768 << 10) /* bytes of an operand that stay in the second-level cache beside them */

typedef struct {
    long rows, columns, depth;
    const real *a;
    long a_row, a_depth;
    const real *b;
    long b_depth, b_column;
    const real *bias;
    real *c, *packed, *blocks; /* `blocks`: of a, one for each thread */
    long panels, together;     /* together: of a slab */
    long pieces;               /* of the rows */
    int is_deep;               /* what is packed does not fit into the second-level cache */
    atomic_long next_slab, next_panel, packed_panels, next_piece;
} matrix_product;

/* Add up the rows from m on, `high` of them, of one panel over a block of the depth from k on. */
static void block_product(const matrix_product *j, long m, long high, long k, long deep, long n,
                          const real *a, long a_row, long a_depth, const real *panel) {
    panel_product(high, deep, a, a_row, a_depth, panel, j->c + m * j->columns + n, j->columns,
                  j->columns - n, k ? ADD : j->bias ? BIAS : FRESH, j->bias ? j->bias + n : 0);
}

/* Pack rows of a that lie across the memory in strips of TILE_ROWS; each would be read once for
   every panel, a few numbers of a line at a time. */
static void pack_rows(long rows, long depth, const real *a, long a_depth, real *out) {
    for (long k = 0; k < depth; k++, a += a_depth) {
        for (long i = 0; i < rows; i += 64 / (long)sizeof(real))
            __builtin_prefetch(a + 8 * a_depth + i);
        long i = 0;
        for (; i + TILE_ROWS <= rows; i += TILE_ROWS)
            memcpy(out + i * depth + k * TILE_ROWS, a + i, sizeof(real) * TILE_ROWS);
        if (i < rows) memcpy(out + i * depth + k * TILE_ROWS, a + i, sizeof(real) * (rows - i));
    }
}

/* Each thread takes columns: a stays in its cache, and of b what was just packed. */
static void multiply_columns(void *pointer, int me, int all) {
    (void)all;
    matrix_product *j = pointer;
    real *own = j->packed + me * j->together * PANEL * j->depth;
    for (long first; (first = j->together * atomic_fetch_add(&j->next_slab, 1)) < j->panels;) {
        const long last = first + j->together < j->panels ? first + j->together : j->panels;
        pack(j->depth, j->columns, j->b, j->b_depth, j->b_column, first, last,
             own - first * PANEL * j->depth);
        for (long k = 0; k == 0 || k < j->depth; k += DEPTH_BLOCK) { /* once without any depth too */
            const long deep = j->depth - k < DEPTH_BLOCK ? j->depth - k : DEPTH_BLOCK;
            for (long m = 0; m < j->rows; m += TILE_ROWS) {
                const long high = j->rows - m < TILE_ROWS ? j->rows - m : TILE_ROWS;
                for (long n = first; n < last; n++) {
                    const real *next = j->c + (m + high) * j->columns + n * PANEL;
                    for (long i = 0; i < TILE_ROWS && m + high + i < j->rows; i++)
                        __builtin_prefetch(next + i * j->columns, 1),
                            __builtin_prefetch(next + i * j->columns + LANES, 1);
                    block_product(j, m, high, k, deep, n * PANEL,
                                  j->a + m * j->a_row + k * j->a_depth, j->a_row, j->a_depth,
                                  own + (n - first) * PANEL * j->depth + k * PANEL);
                }
            }
        }
    }
}

/* Rows from m on, `high` of them, times a block of the depth of all that is packed. */
static void multiply_block(const matrix_product *j, long m, long high, long k, real *own) {
    const long deep = j->depth - k < DEPTH_BLOCK ? j->depth - k : DEPTH_BLOCK;
    const real *a = j->a + m * j->a_row + k * j->a_depth;
    const int across = j->a_row == 1 && j->a_depth > ROW_BLOCK;
    if (across) pack_rows(high, deep, a, j->a_depth, own);
    for (long n = 0; n < j->columns; n += PANEL) {
        const real *panel = j->packed + n * j->depth + k * PANEL;
        if (!across) block_product(j, m, high, k, deep, n, a, j->a_row, j->a_depth, panel);
        for (long i = 0; across && i < high; i += TILE_ROWS)
            block_product(j, m + i, high - i < TILE_ROWS ? high - i : TILE_ROWS, k, deep, n,
                          own + i * deep, 1, TILE_ROWS, panel);
    }
}

/* Some rows times all that is packed, which stays in the second-level cache where it fits; else a
   block of its depth does, and the sums under way. */
static void multiply_piece(const matrix_product *j, long first, long last, real *own) {
    if (j->is_deep) {
        for (long k = 0; k < j->depth; k += DEPTH_BLOCK)
            for (long m = first; m < last; m += ROW_BLOCK)
                multiply_block(j, m, last - m < ROW_BLOCK ? last - m : ROW_BLOCK, k, own);
    } else {
        for (long m = first; m < last; m += ROW_BLOCK)
            for (long k = 0; k == 0 || k < j->depth; k += DEPTH_BLOCK) /* once without any, too */
                multiply_block(j, m, last - m < ROW_BLOCK ? last - m : ROW_BLOCK, k, own);
    }
}

/* Each thread that comes takes the next panel to pack, and then the next rows to multiply. */
static void multiply(void *pointer, int me, int all) {
    (void)all;
    matrix_product *j = pointer;
    for (long n; (n = atomic_fetch_add(&j->next_panel, 1)) < j->panels;) {
        pack(j->depth, j->columns, j->b, j->b_depth, j->b_column, n, n + 1, j->packed);
        atomic_fetch_add(&j->packed_panels, 1);
    }
    offered.wait_for(&j->packed_panels, j->panels);
    const long strips = (j->rows + TILE_ROWS - 1) / TILE_ROWS;
    for (long p; (p = atomic_fetch_add(&j->next_piece, 1)) < j->pieces;) {
        const long last = strips * (p + 1) / j->pieces * TILE_ROWS;
        multiply_piece(j, strips * p / j->pieces * TILE_ROWS, last < j->rows ? last : j->rows,
                       j->blocks + me * ROW_BLOCK * DEPTH_BLOCK);
    }
}

/* Memory for packing, of which the last block is kept: what is mapped again costs a fault for each
   page, and the system's allocator returns large blocks at once. The size stands before the data. */
static _Atomic(char *) kept_block;
#ifdef __SANITIZE_ADDRESS__
#define MOST_KEPT 0 /* what lies behind a product's own part must not be memory kept */
#else
#define MOST_KEPT (64L << 20) /* bytes */
#endif
#define HEAD 64

static void give_back(char *data) {
    char *const block = data - HEAD;
    free(*(size_t *)block <= MOST_KEPT ? atomic_exchange(&kept_block, block) : block);
}

static char *taken(size_t bytes) {
    char *block = atomic_exchange(&kept_block, 0);
    if (!block || *(size_t *)block < bytes) {
        void *fresh;
        free(block);
        if (posix_memalign(&fresh, 64, HEAD + bytes)) return 0;
        block = fresh;
        *(size_t *)block = bytes;
    }
    return block + HEAD;
}

/* c (rows, columns), contiguous, = a times b, each with any strides, plus a row of bias, which may
   be missing; 1: no memory. */
int product(long rows, long columns, long depth, const real *a, long a_row, long a_depth,
            const real *b, long b_depth, long b_column, const real *bias, real *c, int threads) {
    if (!rows || !columns) return 0;
    char *packed;
    const int by_columns = a_depth == 1 && columns >= 2 * rows &&
                           (long)sizeof(real) * rows * depth <= KEPT;
    const long fit = SLAB / (long)sizeof(real) / PANEL / (depth + 1), together = fit ? fit : 1;
    const long size = by_columns ? together * PANEL * depth * threads
                                 : packed_size(depth, columns) + ROW_BLOCK * DEPTH_BLOCK * threads;
    const size_t bytes = sizeof(real) * (size + 1);
    if (!(packed = taken(bytes))) return 1;
    const int is_deep = depth > DEPTH_BLOCK &&
                        (long)sizeof(real) * packed_size(depth, columns) > KEPT;
    /* Some for each thread, so that one that comes late has few to do, but each reads all that is
       packed. */
    const long blocks = (rows + ROW_BLOCK - 1) / ROW_BLOCK;
    const long pieces = is_deep ? 2 * threads : blocks > 8 * threads ? blocks : 8 * threads;
    matrix_product own = {.rows = rows, .columns = columns, .depth = depth,
                          .a = a, .a_row = a_row, .a_depth = a_depth,
                          .b = b, .b_depth = b_depth, .b_column = b_column,
                          .bias = bias, .c = c, .packed = (real *)packed,
                          .blocks = (real *)packed + packed_size(depth, columns),
                          .panels = (columns + PANEL - 1) / PANEL, .together = together,
                          .pieces = threads < 2 ? 1 : pieces, .is_deep = is_deep};
    offered.in_parallel(by_columns ? multiply_columns : multiply, &own, threads);
    give_back(packed);
    return 0;
}

/* Products of many pairs of matrices of one shape, each by one thread. */
typedef struct {
    long count, rows, columns, depth, a_row, a_depth, b_depth, b_column;
    const real *a, *b;
    const long *a_at, *b_at; /* where each matrix begins */
    real *c;
    atomic_long next, failed;
} batch_job;

static void multiply_each(void *pointer, int me, int all) {
    (void)me, (void)all;
    batch_job *j = pointer;
    const long size = packed_size(j->depth, j->columns);
    void *own;
    if (posix_memalign(&own, 64, sizeof(real) * (size + ROW_BLOCK * DEPTH_BLOCK + 1))) {
        j->failed = 1;
        return;
    }
    for (long i; (i = atomic_fetch_add(&j->next, 1)) < j->count;) {
        matrix_product one = {.rows = j->rows, .columns = j->columns, .depth = j->depth,
                           .a = j->a + j->a_at[i], .a_row = j->a_row, .a_depth = j->a_depth,
                           .b = j->b + j->b_at[i], .b_depth = j->b_depth, .b_column = j->b_column,
                           .c = j->c + i * j->rows * j->columns, .packed = own,
                           .blocks = (real *)own + size,
                           .panels = (j->columns + PANEL - 1) / PANEL, .pieces = 1};
        multiply(&one, 0, 1);
    }
    free(own);
}

/* c (count, rows, columns), contiguous; 1: no memory. */
int product_each(long count, long rows, long columns, long depth, const real *a, const long *a_at,
                 long a_row, long a_depth, const real *b, const long *b_at, long b_depth,
                 long b_column, real *c, int threads) {
    batch_job job = {count, rows, columns, depth, a_row, a_depth, b_depth, b_column,
                     a, b, a_at, b_at, c, 0, 0};
    offered.in_parallel(multiply_each, &job, threads);
    return (int)job.failed;
}

/* How many numbers a packed weight takes, and packing a whole one. */
long packed(long rows, long columns) { return packed_size(rows, columns); }

void pack_all(long rows, long columns, const real *w, long row_step, long column_step, real *out) {
    pack(rows, columns, w, row_step, column_step, 0, (columns + PANEL - 1) / PANEL, out);
}

/* ---- a pass over time: what a recurrence takes before its core, the core, and what comes after ---- */

/* A product, or where a is -1 the packing of b; arrays by their number among all of the call. */
typedef struct {
    long rows, columns, depth, a, a_row, a_depth, b, b_depth, b_column, bias, c, threads;
} entry;

typedef struct {
    long steps, rows, reverse;
    void **p;
    const services *service;
} recurrence; /* as in `source.py` */

typedef struct {
    const entry *entries;
    long before, all; /* entries, of which `before` the core */
    const long *slots;
    long slot_count; /* arrays of the kernel, and the number of each */
    void (*run)(recurrence *call, int threads, int lanes, long cost);
    long steps, rows, reverse, threads, lanes, cost;
} plan;

static int run_entry(const entry *e, void **at) {
    if (e->a < 0) {
        pack_all(e->depth, e->columns, at[e->b], e->b_depth, e->b_column, at[e->c]);
        return 0;
    }
    return product(e->rows, e->columns, e->depth, at[e->a], e->a_row, e->a_depth, at[e->b],
                   e->b_depth, e->b_column, e->bias < 0 ? 0 : at[e->bias], at[e->c],
                   (int)e->threads);
}

/* Run a whole pass on the arrays that begin `at` these places; 1: no memory. */
int pass(const plan *o, void **at) {
    void *p[o->slot_count + 1];
    for (long i = 0; i < o->slot_count; i++) p[i] = at[o->slots[i]];
    recurrence call = {o->steps, o->rows, o->reverse, p, &offered};
    for (long i = 0; i < o->before; i++)
        if (run_entry(o->entries + i, at)) return 1;
    o->run(&call, (int)o->threads, (int)o->lanes, o->cost);
    for (long i = o->before; i < o->all; i++)
        if (run_entry(o->entries + i, at)) return 1;
    return 0;
}
