/* The threads that all kernels of a process run in, of any dtype: one pool, so that no two
   wait for the same cores.

   A call has seats for as many threads as it wants. Workers that look for work take one at once, and
   the call never waits long for one that is late, because another library's threads have its core:
   pieces are shared among those that come, as they come, and a team is closed without it. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#include "runtime.h"

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#else
#define PAUSE() ((void)0)
#endif
/* How long a worker looks for work before it sleeps, which takes up to a millisecond to undo: as
   long as Python may need between two kernels of one training step. */
#define AWAKE_NANOSECONDS 1000000
/* How long a team waits for the threads that it wants: some times what those need that are awake. */
#define PATIENCE_NANOSECONDS 10000

static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER, gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static atomic_int round_number, seats, started, done_count, born, sleeping;
static int workers;
static struct {
    work todo;
    void *job;
    int wanted; /* threads */
} call;

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Wait for a moment; after a few microseconds let others have the core, whom one may wait for. */
static void wait_a_moment(int *spins) {
    if (++*spins < 200) PAUSE();
    else sched_yield();
}

/* The number of a seat that was free, 0 where there is none. */
static int seated(void) {
    int left = atomic_load(&seats);
    while (left > 0)
        if (atomic_compare_exchange_weak(&seats, &left, left - 1)) return call.wanted - left;
    return 0;
}

static void *serve(void *seen_before) {
    int seen = (int)(intptr_t)seen_before;
    atomic_fetch_add(&born, 1);
    for (;;) {
        const int64_t until = nanoseconds() + AWAKE_NANOSECONDS;
        while (atomic_load(&round_number) == seen && nanoseconds() < until)
            for (int i = 0; i < 50 && atomic_load(&round_number) == seen; i++) PAUSE();
        if (atomic_load(&round_number) == seen) {
            pthread_mutex_lock(&gate);
            atomic_fetch_add(&sleeping, 1);
            while (atomic_load(&round_number) == seen) pthread_cond_wait(&opened, &gate);
            atomic_fetch_sub(&sleeping, 1);
            pthread_mutex_unlock(&gate);
        }
        seen = atomic_load(&round_number);
        const int me = seated();
        if (!me) continue;
        int all;
        for (int spins = 0; !(all = atomic_load(&started));) wait_a_moment(&spins);
        call.todo(call.job, me, all);
        atomic_fetch_add(&done_count, 1);
    }
    return 0;
}

static void forget_after_fork(void) {
    workers = 0;
    atomic_store(&seats, 0);
    atomic_store(&sleeping, 0);
    pthread_mutex_init(&busy, 0);
    pthread_mutex_init(&gate, 0);
    pthread_cond_init(&opened, 0);
}

static void hire(int wanted) {
    static int registered;
    if (!registered) registered = 1, pthread_atfork(0, 0, forget_after_fork);
    while (workers < wanted) {
        pthread_t thread;
        atomic_store(&born, 0);
        const intptr_t seen = atomic_load(&round_number);
        if (pthread_create(&thread, 0, serve, (void *)seen)) return;
        pthread_detach(thread);
        for (int spins = 0; !atomic_load(&born);) wait_a_moment(&spins);
        workers++;
    }
}

/* Run `todo(job, me, all)`: in a team of those who come at once, for every me below all, or in
   those that come until this thread has returned from it. Alone where the pool is busy. */
static void run_together(work todo, void *job, int threads, int team) {
    if (threads < 2 || pthread_mutex_trylock(&busy)) {
        todo(job, 0, 1);
        return;
    }
    hire(threads - 1);
    if (threads > workers + 1) threads = workers + 1;
    call.todo = todo, call.job = job, call.wanted = threads;
    atomic_store(&done_count, 0);
    atomic_store(&started, team ? 0 : threads);
    atomic_store(&seats, threads - 1);
    atomic_fetch_add(&round_number, 1);
    if (atomic_load(&sleeping)) {
        pthread_mutex_lock(&gate);
        pthread_cond_broadcast(&opened);
        pthread_mutex_unlock(&gate);
    }
    int left = 0;
    if (team) {
        const int64_t until = nanoseconds() + PATIENCE_NANOSECONDS;
        while (atomic_load(&seats) && nanoseconds() < until)
            for (int i = 0; i < 20 && atomic_load(&seats); i++) PAUSE();
        left = atomic_exchange(&seats, 0);
        atomic_store(&started, threads - left);
        todo(job, 0, threads - left);
    } else {
        todo(job, 0, threads);
        left = atomic_exchange(&seats, 0);
    }
    for (int spins = 0; atomic_load(&done_count) < threads - 1 - left;) wait_a_moment(&spins);
    pthread_mutex_unlock(&busy);
}

/* Run `todo(job, me, all)` in this thread and in those that come before it has returned from it: none
   need come, so a job is shared in pieces that are taken one by one. */
static void in_parallel(work todo, void *job, int threads) { run_together(todo, job, threads, 0); }

/* ---- a recurrence: rows of the batch and, among threads with the same rows, units ---- */

#define CHUNK 100000 /* nanoseconds of work, about, after which a late thread may come in */
#define TEAMS 256
#define LINE 64 /* bytes of a line of the caches */

/* Where threads with the same rows meet. */
typedef struct meeting {
    _Alignas(LINE) atomic_long arrived;
} meeting;

typedef struct {
    _Alignas(LINE) atomic_int taken;
    atomic_long next; /* chunk */
} chain;

typedef struct {
    steps todo;
    void *job;
    long count, rows, chunks, chunk; /* `count` steps in all */
    int lanes, blocks;
    chain chains[TEAMS];
    meeting places[TEAMS];
} sweep_job;

static void wait_for(const atomic_long *count, long least) {
    for (int spins = 0; atomic_load_explicit(count, memory_order_acquire) < least;)
        wait_a_moment(&spins);
}

static void meet(turn *own) {
    atomic_fetch_add_explicit(&own->place->arrived, 1, memory_order_acq_rel);
    wait_for(&own->place->arrived, ++own->met * own->lanes);
}

/* Each block of rows is a chain of chunks; a free thread takes the next one of any. */
static void sweep_rows(void *pointer, int me, int all) {
    sweep_job *j = pointer;
    for (int spins = 0;;) {
        int waiting = 0, found = 0;
        for (int i = 0; i < j->blocks && !found; i++) {
            const int own = (i + me * j->blocks / all) % j->blocks;
            chain *c = &j->chains[own];
            if (atomic_load_explicit(&c->next, memory_order_relaxed) >= j->chunks) continue;
            waiting = 1;
            if (atomic_load_explicit(&c->taken, memory_order_relaxed)) continue;
            if (atomic_exchange_explicit(&c->taken, 1, memory_order_acquire)) continue;
            const long k = atomic_load_explicit(&c->next, memory_order_relaxed);
            if (k < j->chunks) {
                turn now = {j->rows * own / j->blocks, j->rows * (own + 1) / j->blocks,
                            j->count * k / j->chunks, j->count * (k + 1) / j->chunks, 0, 1, 0, 0};
                j->todo(j->job, &now);
                atomic_store_explicit(&c->next, k + 1, memory_order_relaxed);
                found = 1;
            }
            atomic_store_explicit(&c->taken, 0, memory_order_release);
        }
        if (!waiting) return;
        if (!found) wait_a_moment(&spins);
        else spins = 0;
    }
}

/* A grid: teams of `lanes` threads share the rows, and the threads of a team the units. */
static void sweep_grid(void *pointer, int me, int all) {
    sweep_job *j = pointer;
    const int lanes = j->lanes < all ? j->lanes : all, teams = all / lanes, team = me / lanes;
    if (team >= teams) return;
    turn now = {j->rows * team / teams, j->rows * (team + 1) / teams,
                j->count * j->chunk / j->chunks, j->count * (j->chunk + 1) / j->chunks,
                me % lanes, lanes, &j->places[team], 0};
    if (now.first < now.last) j->todo(j->job, &now);
}

/* Run all steps in `threads` threads, `lanes` of which share the units of the same rows. `cost` is
   the work of all in nanoseconds, about. */
static void sweep(steps todo, void *job, long count, long rows, int threads, int lanes,
                  long cost) {
    if (threads > TEAMS) threads = TEAMS;
    if (threads < 2) {
        turn whole = {0, rows, 0, count, 0, 1, 0, 0};
        todo(job, &whole);
        return;
    }
    static __thread sweep_job j; /* too large for the stack of a small thread */
    j.todo = todo, j.job = job, j.count = count, j.rows = rows;
    const long pieces = cost / CHUNK / threads + 1;
    j.chunks = pieces < count ? pieces : count;
    if (lanes > 1) {
        j.lanes = lanes;
        for (j.chunk = 0; j.chunk < j.chunks; j.chunk++) {
            for (int i = 0; i < threads; i++) atomic_store(&j.places[i].arrived, 0);
            run_together(sweep_grid, &j, threads, 1);
        }
        return;
    }
    j.blocks = threads < rows ? threads : (int)rows;
    for (int i = 0; i < j.blocks; i++) {
        atomic_store(&j.chains[i].taken, 0);
        atomic_store(&j.chains[i].next, 0);
    }
    in_parallel(sweep_rows, &j, j.blocks);
}

/* What a library of products takes and offers to kernels beside its own. */
const services pool = {in_parallel, wait_for, sweep, meet, 0, 0};
