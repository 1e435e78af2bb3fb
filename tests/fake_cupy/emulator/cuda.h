// CUDA C++ for kernels that g++ compiles for the CPU: put before the source of a kernel, which then
// sees EMULATED defined. Few includes, as it is compiled with every kernel: README.md has the list
// of names. Threads are run by scheduler.cpp.
#pragma once
#define EMULATED 1
#define _GLIBCXX_INCLUDE_NEXT_C_HEADERS  // C's own headers: those of C++ take 0.3 s
#include <math.h>

#include "runtime.h"

typedef __SIZE_TYPE__ size_t;
extern "C" void* memcpy(void*, const void*, size_t) noexcept;
extern "C" void* memset(void*, int, size_t) noexcept;

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __constant__
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __thread  // one place in memory, which the scheduler fills for each block
// A reference that the compiler does not know to be of this variable: its accesses are checked.
template <class T> static inline T& emulated_seen(T& variable) {
  T* at = &variable;
  asm("" : "+r"(at));
  return *at;
}
#define EMULATED_DYNAMIC_SHARED(type, name) \
  type* const name = reinterpret_cast<type*>(emulated_now.dynamic_shared)

#define threadIdx (emulated_now.thread)
#define blockIdx (emulated_now.block)
#define blockDim (emulated_now.block_size)
#define gridDim (emulated_now.grid_size)
static const int warpSize = 32;

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline double2 make_double2(double x, double y) { return {x, y}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
  return {x, y, z, w};
}

// ---- barriers, fences and lanes -----------------------------------------------------------------

static inline void __syncthreads() { emulated_sync_block(); }
static inline void __syncwarp(unsigned mask = ~0u) { emulated_sync_warp(mask); }
static inline void __threadfence() { emulated_release(); }
static inline void __threadfence_block() {}
static inline void __nanosleep(unsigned) { emulated_spin(); }

template <class T> static inline T emulated_lane(unsigned mask, T value, int from) {
  static_assert(sizeof(T) <= 8, "a shuffle moves up to 8 bytes");
  unsigned long long word = 0;
  __builtin_memcpy(&word, &value, sizeof value);
  word = emulated_shuffle(mask, word, from);
  __builtin_memcpy(&value, &word, sizeof value);
  return value;
}
static inline int emulated_own_lane() { return emulated_now.rank % 32; }
// A lane beyond its segment of `width` lanes reads its own value, as on the device.
template <class T> static inline T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
  const int lane = emulated_own_lane();
  return emulated_lane(mask, value, (lane & ~(width - 1)) + (from & (width - 1)));
}
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T value, int with, int width = 32) {
  const int lane = emulated_own_lane(), from = lane ^ with;
  return emulated_lane(mask, value, from >= (lane & ~(width - 1)) + width ? lane : from);
}
template <class T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = emulated_own_lane();
  return emulated_lane(mask, value, (lane & (width - 1)) + (int)by < width ? lane + by : lane);
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = emulated_own_lane();
  return emulated_lane(mask, value, (lane & (width - 1)) >= (int)by ? lane - by : lane);
}
static inline unsigned __ballot_sync(unsigned mask, int vote) {
  return emulated_ballot(mask, vote);
}
static inline int __any_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) != 0; }
static inline int __all_sync(unsigned mask, int vote) { return __ballot_sync(mask, !vote) == 0; }

// ---- atomics and memory -------------------------------------------------------------------------

// Accesses of an atomic are no race, so only its address is checked.
#define EMULATED_ATOMIC __attribute__((no_sanitize("kernel-address")))
template <class T> EMULATED_ATOMIC static T emulated_load(const T* at) {
  emulated_atomic(at, sizeof(T));
  return *const_cast<const volatile T*>(at);
}
template <class T> EMULATED_ATOMIC static T emulated_swap(T* at, T value) {
  const T old = emulated_load(at);
  *at = value;
  return old;
}
template <class T> struct emulated_same { typedef T type; };
template <class T> using emulated_other = typename emulated_same<T>::type;  // not deduced
// One that changes nothing is how a kernel waits: others go on.
template <class T> static inline T atomicAdd(T* at, emulated_other<T> value) {
  if (value == T()) emulated_spin();
  return emulated_swap<T>(at, emulated_load(at) + value);
}
template <class T> static inline T atomicSub(T* at, emulated_other<T> value) {
  return emulated_swap<T>(at, emulated_load(at) - value);
}
template <class T> static inline T atomicExch(T* at, emulated_other<T> value) {
  return emulated_swap<T>(at, value);
}
template <class T> static inline T atomicMax(T* at, emulated_other<T> value) {
  const T old = emulated_load(at);
  return emulated_swap<T>(at, old > value ? old : value);
}
template <class T> static inline T atomicMin(T* at, emulated_other<T> value) {
  const T old = emulated_load(at);
  return emulated_swap<T>(at, old < value ? old : value);
}
template <class T> static inline T atomicOr(T* at, emulated_other<T> value) {
  return emulated_swap<T>(at, emulated_load(at) | value);
}
template <class T>
static inline T atomicCAS(T* at, emulated_other<T> compare, emulated_other<T> value) {
  if (emulated_load(at) != compare) emulated_spin();
  const T old = emulated_load(at);
  return emulated_swap<T>(at, old == compare ? value : old);
}
template <class T> static inline T __ldg(const T* from) { return *from; }
template <class T> static inline T __ldcg(const T* from) { return *from; }
template <class T> static inline T __ldcs(const T* from) { return *from; }
template <class T> static inline void __stcg(T* to, emulated_other<T> value) { *to = value; }
template <class T> static inline void __stcs(T* to, emulated_other<T> value) { *to = value; }

namespace emulated {
// Twins of what a source writes as PTX. A store by put() is seen by other blocks once it happens
// before a release, and never earlier, so a release that is missing shows.
template <class T> static inline void put(T* to, emulated_other<T> value) {
  static_assert(sizeof(T) <= 8, "a store of up to 8 bytes");
  volatile char* last = reinterpret_cast<volatile char*>(to) + sizeof(T) - 1;
  (void)*last;  // the address is checked here, where the message can name it
  emulated_put(to, &value, sizeof value);
}
// A load of what this thread may have put itself.
template <class T> static inline T own(const T* from) {
  T found;
  return emulated_own(from, &found, sizeof found) ? found : *from;
}
static inline void release() { emulated_release(); }
template <class T> static inline void release_add(T* at, emulated_other<T> value) {  // red.release
  emulated_release();
  emulated_swap<T>(at, emulated_load(at) + value);
}
template <class T> static inline void relaxed_add(T* at, emulated_other<T> value) {
  emulated_swap<T>(at, emulated_load(at) + value);
}
template <class T> static inline T load_acquire(const T* from) {  // ld.acquire; others go on
  emulated_spin();
  return emulated_load(from);
}
static inline void sync_grid() { emulated_sync_grid(); }
// c (4 of 16 x 8) += a (16 x 16 of bf16 in 4 words) b (16 x 8 in 2), as mma.sync m16n8k16
static inline void mma_bf16(float* c, unsigned a0, unsigned a1, unsigned a2, unsigned a3,
                            unsigned b0, unsigned b1) {
  const unsigned a[4] = {a0, a1, a2, a3}, b[2] = {b0, b1};
  emulated_mma(c, a, b, 0);
}
// c += a (16 x 8 of TF32 in 4 words) b (8 x 8 in 2), as mma.sync m16n8k8
static inline void mma_tf32(float* c, unsigned a0, unsigned a1, unsigned a2, unsigned a3,
                            unsigned b0, unsigned b1) {
  const unsigned a[4] = {a0, a1, a2, a3}, b[2] = {b0, b1};
  emulated_mma(c, a, b, 1);
}
}  // namespace emulated

#include "device_math.h"
