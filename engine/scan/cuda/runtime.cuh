// What every generated kernel for a GPU includes: elementary functions, the tile of a block, products
// of a tile with a weight, and the barrier among the blocks of the same rows.
//
// A generated source defines REAL_BYTES (4 or 8), THREADS and PRECISION: 0 products of `real` by FMA, 1
// of TF32 and 2 of bfloat16 by mma, with sums in float32. EMULATED is defined where the tests run the
// same source on the CPU; only the functions of the first part have a twin for it. `products.cuh` and
// `sweeps.cuh` follow.
typedef unsigned int uint32_t;
#define INLINE __device__ __forceinline__
#ifdef EMULATED
#define SPINS 200
#else
#define SPINS (1l << 23)  // readings of a counter, about 0.5 us each, before a barrier gives up
#endif

#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#endif
#if REAL_BYTES == 4
typedef float real;
#define OF(name) name##f
#else
typedef double real;
#define OF(name) name
#endif

constexpr int WARPS = THREADS / 32;

// ---- memory, and products of the tensor cores

#if PRECISION == 2
typedef unsigned short element;  // a bfloat16 of a weight
#else
typedef real element;
#endif

INLINE unsigned short to_bfloat16(float x) {  // to the nearest, ties to even
#ifdef EMULATED
    return emulated::to_bf16(x);
#else
    unsigned short out;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out) : "f"(x));
    return out;
#endif
}

INLINE float to_tf32(float x) {  // to the nearest, ties away from zero
#ifdef EMULATED
    return emulated::to_tf32(x);
#else
    uint32_t out;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(out) : "f"(x));
    return __uint_as_float(out);
#endif
}

INLINE element rounded(real x) {
#if PRECISION == 2
    return to_bfloat16((float)x);
#elif PRECISION == 1
    return to_tf32(x);
#else
    return x;
#endif
}

// A store that other blocks read after the next barrier; none does in PRIVATE kernels.
INLINE void put(real *to, real x) {
#if defined(EMULATED) && !defined(PRIVATE)
    emulated::put(to, x);
#else
    *to = x;
#endif
}

// A load of what the same thread may have put.
INLINE real own_load(const real *from) {
#if defined(EMULATED) && !defined(PRIVATE)
    return emulated::own(from);
#else
    return *from;
#endif
}

INLINE void release_add(unsigned *counter) {
#ifdef EMULATED
    emulated::release_add(counter, 1u);
#else
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(counter) : "memory");
#endif
}

INLINE unsigned load_acquire(const unsigned *counter) {
#ifdef EMULATED
    return emulated::load_acquire(counter);
#else
    unsigned out;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(out) : "l"(counter) : "memory");
    return out;
#endif
}

#if PRECISION
// One mma of the warp: 16 rows by 8 columns, over 16 (bfloat16) or 8 (TF32) of k.
INLINE void mma(float *c, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
#ifdef EMULATED
#if PRECISION == 1
    emulated::mma_tf32(c, a0, a1, a2, a3, b0, b1);
#else
    emulated::mma_bf16(c, a0, a1, a2, a3, b0, b1);
#endif
#elif PRECISION == 1
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
                 "{%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
                 "{%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}
#endif

// ---- elementary functions; the others are in `../kernels/functions.h`, which follows

INLINE real exponential(real x) { return OF(exp)(x); }
INLINE real hyptan(real x) { return OF(tanh)(x); }
INLINE real logistic(real x) {  // e^-|x| does not overflow, and no tail cancels
    const real e = OF(exp)(x < 0 ? x : -x);
    return (x < 0 ? e : (real)1) / ((real)1 + e);
}
INLINE real raised(real x, real y) { return y == (real)2 ? x * x : OF(pow)(x, y); }
