/* Large products and the threads that everything here runs in: one pool for the whole process,
   so that no two pools wait for the same cores. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include "runtime.h"
#include "tiles.h"

/* ---- the pool ---- */

static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER, gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static atomic_int round_number, done_count;
static int workers, team;
static work current_work;
static void *current_job;

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#else
#define PAUSE() ((void)0)
#endif
/* How long a worker looks for work before it sleeps, which takes up to a millisecond to undo: as
   long as Python may need between two kernels of one training step. */
#define AWAKE_NANOSECONDS 1000000

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Wait for a moment; after some time let others have the core, whom one may be waiting for. */
static void wait_a_moment(int *spins) {
    if (++*spins < 4000) PAUSE();
    else sched_yield();
}

static void *serve(void *number) {
    const int me = (int)(intptr_t)number;
    int seen = atomic_load(&round_number);
    atomic_fetch_add(&done_count, 1); /* born */
    for (;;) {
        const int64_t until = nanoseconds() + AWAKE_NANOSECONDS;
        while (atomic_load(&round_number) == seen && nanoseconds() < until)
            for (int i = 0; i < 50 && atomic_load(&round_number) == seen; i++) PAUSE();
        if (atomic_load(&round_number) == seen) {
            pthread_mutex_lock(&gate);
            while (atomic_load(&round_number) == seen) pthread_cond_wait(&opened, &gate);
            pthread_mutex_unlock(&gate);
        }
        seen = atomic_load(&round_number);
        if (me < team) current_work(current_job, me, team);
        atomic_fetch_add(&done_count, 1);
    }
    return 0;
}

static void forget_after_fork(void) {
    workers = 0;
    pthread_mutex_init(&busy, 0);
    pthread_mutex_init(&gate, 0);
    pthread_cond_init(&opened, 0);
}

static void hire(int wanted) {
    static int registered;
    if (!registered) registered = 1, pthread_atfork(0, 0, forget_after_fork);
    while (workers < wanted) {
        pthread_t thread;
        atomic_store(&done_count, 0);
        if (pthread_create(&thread, 0, serve, (void *)(intptr_t)(workers + 1))) return;
        pthread_detach(thread);
        for (int spins = 0; !atomic_load(&done_count);) wait_a_moment(&spins); /* it is born */
        workers++;
    }
}

/* Run `todo(job, me, all)` for every me below all, in as many threads; alone where they are busy. */
void in_parallel(work todo, void *job, int threads) {
    if (threads < 2 || pthread_mutex_trylock(&busy)) {
        todo(job, 0, 1);
        return;
    }
    hire(threads - 1);
    team = threads < workers + 1 ? threads : workers + 1;
    current_work = todo, current_job = job;
    atomic_store(&done_count, 0);
    pthread_mutex_lock(&gate);
    atomic_fetch_add(&round_number, 1);
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&gate);
    todo(job, 0, team);
    for (int spins = 0; atomic_load(&done_count) < workers;) wait_a_moment(&spins);
    pthread_mutex_unlock(&busy);
}

/* ---- large products ---- */

#define DEPTH_BLOCK 256 /* of a panel that stays in the first-level cache's neighbour */
#define ROW_BLOCK 96
#define SLAB (256 << 10) /* bytes of panels that a thread packs at a time where it has columns */
#define KEPT (768 << 10) /* bytes of a that stay in the second-level cache beside them */

typedef struct {
    long rows, columns, depth;
    const real *a;
    long a_row, a_depth;
    const real *b;
    long b_depth, b_column;
    const real *bias;
    real *c, *packed, *blocks; /* `blocks`: of a, one for each thread */
    atomic_int arrived;
    long together; /* panels of a slab */
    atomic_long slab; /* the next one to be taken */
} product_job;

static void share(long count, int me, int all, long *first, long *last) {
    *first = count * me / all;
    *last = count * (me + 1) / all;
}

/* Add up the rows from m on, `high` of them, of one panel over a block of the depth from k on. */
static void block_product(const product_job *j, long m, long high, long k, long deep, long n,
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
    product_job *j = pointer;
    const long panels = (j->columns + PANEL - 1) / PANEL;
    real *own = j->packed + me * j->together * PANEL * j->depth;
    for (long first; (first = j->together * atomic_fetch_add(&j->slab, 1)) < panels;) {
        const long last = first + j->together < panels ? first + j->together : panels;
        pack(j->depth, j->columns, j->b, j->b_depth, j->b_column, first, last,
             own - first * PANEL * j->depth);
        for (long k = 0; k == 0 || k < j->depth; k += DEPTH_BLOCK) {
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

static void multiply(void *pointer, int me, int all) {
    product_job *j = pointer;
    long first, last;
    share((j->columns + PANEL - 1) / PANEL, me, all, &first, &last);
    pack(j->depth, j->columns, j->b, j->b_depth, j->b_column, first, last, j->packed);
    atomic_fetch_add(&j->arrived, 1);
    for (int spins = 0; atomic_load(&j->arrived) < all;) wait_a_moment(&spins);
    share((j->rows + TILE_ROWS - 1) / TILE_ROWS, me, all, &first, &last);
    first *= TILE_ROWS;
    last = last * TILE_ROWS < j->rows ? last * TILE_ROWS : j->rows;
    for (long m = first; m < last; m += ROW_BLOCK) {
        const long high = last - m < ROW_BLOCK ? last - m : ROW_BLOCK;
        for (long k = 0; k == 0 || k < j->depth; k += DEPTH_BLOCK) { /* once without depth too */
            const long deep = j->depth - k < DEPTH_BLOCK ? j->depth - k : DEPTH_BLOCK;
            const real *a = j->a + m * j->a_row + k * j->a_depth;
            const int across = j->a_row == 1 && j->a_depth > ROW_BLOCK;
            real *own = j->blocks + me * ROW_BLOCK * DEPTH_BLOCK;
            if (across) pack_rows(high, deep, a, j->a_depth, own);
            for (long n = 0; n < j->columns; n += PANEL) {
                const real *panel = j->packed + n * j->depth + k * PANEL;
                if (!across)
                    block_product(j, m, high, k, deep, n, a, j->a_row, j->a_depth, panel);
                for (long i = 0; across && i < high; i += TILE_ROWS)
                    block_product(j, m + i, high - i < TILE_ROWS ? high - i : TILE_ROWS, k, deep, n,
                                  own + i * deep, 1, TILE_ROWS, panel);
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
    const int by_columns = a_depth == 1 && columns >= 2 * rows &&
                           (long)sizeof(real) * rows * depth <= KEPT;
    const long fit = SLAB / (long)sizeof(real) / PANEL / (depth + 1), together = fit ? fit : 1;
    const long size = by_columns ? together * PANEL * depth * threads
                                 : packed_size(depth, columns) + ROW_BLOCK * DEPTH_BLOCK * threads;
    if (posix_memalign(&packed, 64, sizeof(real) * (size + 1))) return 1;
    product_job job = {rows, columns, depth, a, a_row, a_depth, b, b_depth, b_column, bias, c,
                       packed, (real *)packed + packed_size(depth, columns), 0, together, 0};
    in_parallel(by_columns ? multiply_columns : multiply, &job, threads);
    free(packed);
    return 0;
}

/* What kernels ask of this library. */
const services offered = {in_parallel, packed_product};

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
