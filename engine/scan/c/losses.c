/* Cross entropy of rows of logits and its slopes: a row is read while it is in the cache, so that
   the logits cross the memory once each way. Rows are shared among threads, and none depends on
   another, so the results have the same bits for any number of threads. */
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include "runtime.h"

#define PART 1024   /* numbers of a row that are summed in float; their sums are summed in double */
#define AT_ONCE 16  /* rows that a thread takes at a time */

typedef struct {
    long rows, classes;
    const real *x;          /* (rows, classes) */
    const int64_t *targets; /* (rows); -1: the row counts for nothing */
    const real *g;          /* (rows), of slopes only */
    real *out;              /* terms (rows), or slopes (rows, classes) */
    atomic_long next;
} loss_job;

/* The largest number, which a NaN is not. */
static real largest(const real *x, long n) {
    real top = -(real)INFINITY;
#pragma omp simd reduction(max : top)
    for (long i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
    return top;
}

/* The sum of e^(x - top); `raised` gets each of them unless it is null. */
static double raised_sum(const real *x, long n, real top, real *raised) {
    double total = 0;
    for (long first = 0; first < n; first += PART) {
        const long last = first + PART < n ? first + PART : n;
        real sum = 0;
        if (raised) {
#pragma omp simd reduction(+ : sum)
            for (long i = first; i < last; i++) sum += raised[i] = exponential(x[i] - top);
        } else {
#pragma omp simd reduction(+ : sum)
            for (long i = first; i < last; i++) sum += exponential(x[i] - top);
        }
        total += sum;
    }
    return total;
}

static void terms_of(loss_job *j, long row) {
    const real *x = j->x + row * j->classes;
    const int64_t target = j->targets[row];
    if (target < 0) {
        j->out[row] = 0;
        return;
    }
    real top = largest(x, j->classes);
    if (!(top - top == 0)) top = 0; /* infinite, or all are NaN */
    const double sum = raised_sum(x, j->classes, top, 0);
    j->out[row] = (real)-((double)(x[target] - top) - __builtin_log(sum));
}

static void slopes_of(loss_job *j, long row) {
    const real *x = j->x + row * j->classes;
    real *out = j->out + row * j->classes;
    const int64_t target = j->targets[row];
    if (target < 0) {
        memset(out, 0, sizeof(real) * j->classes);
        return;
    }
    const real top = largest(x, j->classes), g = j->g[row];
    if (top - top == 0) {
        const real share = (real)(g / raised_sum(x, j->classes, top, out));
#pragma omp simd
        for (long i = 0; i < j->classes; i++) out[i] *= share;
    } else { /* where e^x may overflow beside an infinite sum */
        const real whole = (real)__builtin_log(raised_sum(x, j->classes, 0, 0));
        for (long i = 0; i < j->classes; i++) out[i] = g * exponential(x[i] - whole);
    }
    out[target] -= g;
}

static void work_on(loss_job *j, void (*todo)(loss_job *j, long row)) {
    for (long first; (first = AT_ONCE * atomic_fetch_add(&j->next, 1)) < j->rows;)
        for (long row = first; row < first + AT_ONCE && row < j->rows; row++) todo(j, row);
}

static void all_terms(void *job, int me, int all) {
    (void)me, (void)all;
    work_on(job, terms_of);
}

static void all_slopes(void *job, int me, int all) {
    (void)me, (void)all;
    work_on(job, slopes_of);
}

/* Terms of the loss where `g` is null, else the slopes of their sum weighted by g. */
void softmax_cross_entropy(long rows, long classes, const real *x, const int64_t *targets, const real *g,
                real *out, const services *pool, int threads) {
    loss_job job = {rows, classes, x, targets, g, out};
    pool->in_parallel(g ? all_slopes : all_terms, &job, threads);
}
