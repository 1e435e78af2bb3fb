/* The memory of large arrays, kept between calls: a memory handler of NumPy (NEP 49). glibc gives
   large blocks back to the system when they are freed, and the next call faults them in again page
   by page. Blocks of a few sizes lie on a shelf for each size, last in first out; the least recently
   used of all are unmapped where those that are free exceed a bound. Smaller arrays are left to the
   handler that was in force before. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

typedef struct {
    void *ctx;
    void *(*malloc)(void *ctx, size_t size);
    void *(*calloc)(void *ctx, size_t count, size_t size);
    void *(*realloc)(void *ctx, void *data, size_t size);
    void (*free)(void *ctx, void *data, size_t size);
} allocator;

typedef struct { /* PyDataMem_Handler, version 1 */
    char name[127];
    uint8_t version;
    allocator functions;
} handler;

#define HEADER 64      /* before the data, which so begins at a multiple of 64 */
#define PLACES 16      /* at which data begins in its first page, in turn: arrays that all begin at */
#define APART 192      /* one place would share the few lines that a cache has for it */
#define LEAST_PAGES 8  /* from here on a block wastes an eighth at most */
#define HUGE (4 << 20) /* bytes from which pages of 2 MB are asked for, as NumPy does */
#define LOST (HEADER + (PLACES - 1) * APART)
#define SHELVES 512
#define USED 0x6270747461726e61u
#define FREE 0x6270747466726565u

typedef struct block {
    uint64_t state;     /* USED or FREE */
    struct block *self; /* so that no copy of a header is taken for one */
    size_t size;        /* of the mapping, this header included */
    struct block *older, *newer; /* among all free blocks */
    struct block *below, *above; /* on the same shelf */
    void *start;                 /* of the mapping */
} block;
_Static_assert(sizeof(block) == HEADER, "the header has another size");

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static block *shelves[SHELVES], *oldest, *newest;
static size_t in_use, kept, bound, mapped, page;
static int poison, huge;
static allocator plain; /* of the handler before */

static void lock(void) { pthread_mutex_lock(&mutex); }
static void unlock(void) { pthread_mutex_unlock(&mutex); }

/* ---- sizes ---- */

/* The shelf of so many bytes, header included, which are rounded up: eight sizes for each power of
   two. */
static int shelf_of(size_t *size) {
    size_t pages = (*size + page - 1) / page;
    int shift = 0;
    while (pages >> shift >= 16) shift++;
    const size_t part = (pages + ((size_t)1 << shift) - 1) >> shift;
    *size = (part << shift) * page;
    return shift * 8 + (int)part; /* 16 parts are 8 of the next size */
}

/* ---- free blocks ---- */

static void put(block *b) {
    block **shelf = &shelves[shelf_of(&b->size)];
    b->state = FREE;
    b->below = *shelf, b->above = 0;
    if (*shelf) (*shelf)->above = b;
    *shelf = b;
    b->older = newest, b->newer = 0;
    *(newest ? &newest->newer : &oldest) = b;
    newest = b;
    kept += b->size;
}

static void take(block *b) {
    *(b->above ? &b->above->below : &shelves[shelf_of(&b->size)]) = b->below;
    if (b->below) b->below->above = b->above;
    *(b->older ? &b->older->newer : &oldest) = b->newer;
    *(b->newer ? &b->newer->older : &newest) = b->older;
    kept -= b->size;
}

/* Unmap the least recently used until no more than `most` bytes are kept. */
static void shrink(size_t most) {
    block *gone = 0;
    lock();
    while (kept > most) {
        block *b = oldest;
        take(b);
        b->below = gone, gone = b;
    }
    unlock();
    while (gone) {
        block *b = gone;
        gone = b->below;
        munmap(b->start, b->size);
    }
}

/* ---- blocks in use ---- */

static block *map(size_t size, size_t place) {
    const int rights = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    void *found = mmap(0, size, rights, flags, -1, 0);
    if (found == MAP_FAILED) {
        shrink(0);
        found = mmap(0, size, rights, flags, -1, 0);
    }
    if (found == MAP_FAILED) return 0;
#ifdef MADV_HUGEPAGE
    if (huge && size >= HUGE) madvise(found, size, MADV_HUGEPAGE);
#endif
    block *b = (block *)((char *)found + place * APART);
    b->state = USED, b->self = b, b->start = found, b->size = size;
    return b;
}

/* A block for so many bytes of data; `fresh`: it came from the system, so it is zero. */
static block *obtained(size_t wanted, int *fresh) {
    static atomic_size_t turn;
    size_t size = wanted + LOST;
    const int shelf = shelf_of(&size);
    lock();
    block *b = shelves[shelf];
    if (b) take(b), b->state = USED, in_use += size;
    unlock();
    *fresh = !b;
    if (!b) {
        b = map(size, atomic_fetch_add(&turn, 1) % PLACES);
        if (!b) return 0;
        lock();
        in_use += size, mapped++;
        unlock();
    }
    return b;
}

/* The block of some data, 0 where it is not one of ours. The header lies on the page of the data,
   so it can be read for any block. */
__attribute__((no_sanitize("address", "thread"), noinline)) static block *block_of(void *data) {
    const uintptr_t place = (uintptr_t)data & 4095;
    if (place < HEADER || place % HEADER) return 0;
    block *b = (block *)((char *)data - HEADER);
    return b->state == USED && b->self == b ? b : 0;
}

/* The bytes of data that a block has room for. */
static size_t room(const block *b) { return b->size - ((char *)b - (char *)b->start) - HEADER; }

static int is_large(size_t size) {
    return size >= LEAST_PAGES * page && size < ((size_t)1 << 46);
}

/* ---- what NumPy calls ---- */

static void *arena_malloc(void *ctx, size_t size) {
    (void)ctx;
    int fresh;
    block *b = is_large(size) ? obtained(size, &fresh) : 0;
    void *data = b ? (char *)b + HEADER : plain.malloc(plain.ctx, size);
    if (poison && data) memset(data, 0xff, size);
    return data;
}

static void *arena_calloc(void *ctx, size_t count, size_t size) {
    (void)ctx;
    size_t all;
    if (__builtin_mul_overflow(count, size, &all)) return 0;
    int fresh;
    block *b = is_large(all) ? obtained(all, &fresh) : 0;
    if (!b) return plain.calloc(plain.ctx, count, size);
    void *data = (char *)b + HEADER;
    return fresh ? data : memset(data, 0, all);
}

static void arena_free(void *ctx, void *data, size_t size) {
    (void)ctx;
    block *b = block_of(data);
    if (!b) {
        plain.free(plain.ctx, data, size);
        return;
    }
    if (poison) memset(data, 0xff, room(b));
    lock();
    in_use -= b->size;
    const int large = b->size > bound;
    if (!large) put(b);
    const size_t most = bound;
    const int over = kept > most;
    unlock();
    if (large) munmap(b->start, b->size);
    if (over) shrink(most);
}

static void *arena_realloc(void *ctx, void *data, size_t size) {
    block *b = block_of(data);
    if (!b) return data ? plain.realloc(plain.ctx, data, size) : arena_malloc(ctx, size);
    size_t whole = size + LOST;
    if (is_large(size) && (shelf_of(&whole), whole == b->size)) return data;
    void *moved = arena_malloc(ctx, size);
    if (!moved) return 0;
    const size_t had = room(b);
    memcpy(moved, data, had < size ? had : size);
    arena_free(ctx, data, had);
    return moved;
}

static handler own = {
    "bptt_arena", 1, {0, arena_malloc, arena_calloc, arena_realloc, arena_free}};

/* ---- what Python calls ---- */

const char arena_capsule[] = "mem_handler"; /* the name that NumPy asks for */

/* The handler; `before` is the one in force, which is asked for small arrays. */
handler *arena_start(const handler *before, int poisons, int asks_for_huge) {
    plain = before->functions;
    poison = poisons, huge = asks_for_huge;
    page = (size_t)sysconf(_SC_PAGESIZE);
    bound = (size_t)sysconf(_SC_PHYS_PAGES) / 8 * page;
    if (bound > ((size_t)2 << 30)) bound = (size_t)2 << 30;
    pthread_atfork(lock, unlock, unlock);
    return &own;
}

void arena_figures(size_t *into) {
    lock();
    into[0] = in_use, into[1] = kept, into[2] = bound, into[3] = mapped;
    unlock();
}

/* Keep no more than so many bytes. */
void arena_bound(size_t bytes) {
    lock();
    bound = bytes;
    unlock();
    shrink(bytes);
}

void arena_release(void) { shrink(0); }
