"""List kernels that tests run in the emulator and compile for real devices, with planted faults.

A fault is planted by a macro of the options (`-DPLANT_...`). Each source is one string that
includes nothing: where a device needs PTX, it has a twin under `EMULATED`.
"""

ROW_SUMS = r"""
// out[row] = the sum of x[row, :n], a block a row
extern "C" __global__ void __launch_bounds__(128) row_sums(const float* __restrict__ x, float* out,
                                                           int n) {
  __shared__ float part[4];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float sum = 0.0f;
  for (int k = threadIdx.x; k < n; k += blockDim.x) sum += x[(long)blockIdx.x * n + k];
#ifdef PLANT_EARLY_RETURN
  if ((int)threadIdx.x >= n) return;
#endif
  for (int by = 16; by; by /= 2) sum += __shfl_down_sync(~0u, sum, by);
  if (lane == 0) part[warp] = sum;
#ifndef PLANT_NO_SYNCTHREADS
  __syncthreads();
#endif
  if (threadIdx.x == 0) out[blockIdx.x] = part[0] + part[1] + part[2] + part[3];
}

// The same by segments of 8 lanes; their sums meet in shared memory of the warp.
extern "C" __global__ void segment_sums(const double* x, double* out) {
  extern __shared__ __align__(16) double parts[];
  const int lane = threadIdx.x % 32;
  double sum = x[threadIdx.x];
  for (int with = 4; with; with /= 2) sum += __shfl_xor_sync(~0u, sum, with, 8);
  if (lane % 8 == 0) parts[threadIdx.x / 8] = sum;
#ifndef PLANT_NO_SYNCWARP
  __syncwarp();
#endif
  if (lane == 1) {
    const double* mine = parts + threadIdx.x / 32 * 4;
    out[threadIdx.x / 32] = mine[0] + mine[1] + mine[2] + mine[3];
  }
}
"""

TILES = r"""
// c (m x n) = a (m x k) b (k x n) by tiles of 8 x 8 in shared memory; any size
template <int SIDE> __device__ __forceinline__ void tiles(const float* a, const float* b, float* c,
                                                          int m, int k, int n) {
  __shared__ float left[SIDE][SIDE + 1], right[SIDE][SIDE + 1];
  const int x = threadIdx.x, y = threadIdx.y;
  const int row = blockIdx.y * SIDE + y, column = blockIdx.x * SIDE + x;
  float sum = 0.0f;
  for (int first = 0; first < k; first += SIDE) {
    left[y][x] = row < m && first + x < k ? a[row * k + first + x] : 0.0f;
    right[y][x] = column < n && first + y < k ? b[(first + y) * n + column] : 0.0f;
#ifndef PLANT_NO_FIRST_SYNC
    __syncthreads();
#endif
    for (int i = 0; i < SIDE; i++) sum = fmaf(left[y][i], right[i][x], sum);
#ifndef PLANT_NO_SECOND_SYNC
    __syncthreads();
#endif
  }
#ifdef PLANT_BEYOND
  c[row * n + column] = sum;
#else
  if (row < m && column < n) c[row * n + column] = sum;
#endif
}
extern "C" __global__ void product(const float* a, const float* b, float* c, int m, int k, int n) {
  tiles<8>(a, b, c, m, k, n);
}
"""

SWEEP = r"""
#ifndef SPINS
#define SPINS (1l << 22)
#endif
__device__ __forceinline__ void put(float* to, float x) {
#ifdef EMULATED
  emulated::put(to, x);
#else
  *to = x;
#endif
}
__device__ __forceinline__ void release_add(unsigned* counter) {
#ifdef EMULATED
#ifdef PLANT_RELAXED
  emulated::relaxed_add(counter, 1u);
#else
  emulated::release_add(counter, 1u);
#endif
#else
  asm volatile("red.release.gpu.global.add.u32 [%0], 1;" :: "l"(counter) : "memory");
#endif
}
__device__ __forceinline__ unsigned load_acquire(const unsigned* counter) {
#ifdef EMULATED
  return emulated::load_acquire(counter);
#else
  unsigned out;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(out) : "l"(counter) : "memory");
  return out;
#endif
}

// h[t + 1] = tanh(W h[t]), each block a few of the units, weights in shared memory for good
extern "C" __global__ void sweep(const float* __restrict__ W, float* h, int T, int H, int each,
                                 unsigned* counter, int* fault) {
  extern __shared__ __align__(16) float w[];
  __shared__ int alive;
  const int first = blockIdx.x * each, units = min(each, H - first);
  for (int i = threadIdx.x; i < units * H; i += blockDim.x) w[i] = W[first * H + i];
  __syncthreads();
  for (int t = 0; t < T; t++) {
    for (int u = threadIdx.x; u < units; u += blockDim.x) {
      float sum = 0.0f;
      for (int k = 0; k < H; k++) sum = fmaf(w[u * H + k], h[t * H + k], sum);
      put(&h[(t + 1) * H + first + u], tanhf(sum));
    }
#ifdef PLANT_BLOCK_LEAVES
    if (blockIdx.x == 1) return;
#endif
#ifndef PLANT_NO_SYNC_BEFORE_RELEASE
    __syncthreads();
#endif
    if (threadIdx.x == 0) {
      release_add(counter);
      int good = 1;
#ifndef PLANT_NO_BARRIER
      const unsigned all = (unsigned)(t + 1) * gridDim.x;
      for (long spin = 0; load_acquire(counter) < all; spin++) {
        if (spin < SPINS) continue;
        atomicExch(fault, t + 1);
        good = 0;
        break;
      }
#endif
      alive = good;
    }
    __syncthreads();
    if (!alive) return;
  }
}
"""

MMA = r"""
__device__ __forceinline__ void mma(float* c, unsigned a0, unsigned a1, unsigned a2, unsigned a3,
                                    unsigned b0, unsigned b1) {
#ifdef EMULATED
#if TF32
  emulated::mma_tf32(c, a0, a1, a2, a3, b0, b1);
#else
  emulated::mma_bf16(c, a0, a1, a2, a3, b0, b1);
#endif
#elif TF32
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
               "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#else
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
               "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}

// c (16 x 8) = a (16 x k) b (8 x k) transposed, by one warp; words are one TF32 or two bf16
extern "C" __global__ void fragments(const unsigned* a, const unsigned* b, float* c, int words) {
  const int lane = threadIdx.x, row = lane / 4, quad = lane % 4;
  float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  for (int k = quad; k < words; k += 8) {
    const unsigned a0 = a[row * words + k], a1 = a[(row + 8) * words + k];
    const unsigned a2 = a[row * words + k + 4], a3 = a[(row + 8) * words + k + 4];
#ifdef PLANT_FRAGMENT
    mma(sum, a0, a2, a1, a3, b[row * words + k], b[row * words + k + 4]);
#else
    mma(sum, a0, a1, a2, a3, b[row * words + k], b[row * words + k + 4]);
#endif
  }
  for (int i = 0; i < 4; i++) c[(row + i / 2 * 8) * 8 + quad * 2 + i % 2] = sum[i];
}
"""
