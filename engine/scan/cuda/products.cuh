// Products of a tile of rows with a weight: sums[row][column] = x[row, :K] . weight[column, :K].
//
// The warps of a block share k in chunks of 32 and their parts are added in one order, so the same
// bits come out run after run. Rows beyond the tile, columns without a weight and k beyond K are
// zeros. A weight lies in global memory with rows of PADDED(K) elements, zeros at the end (`pack`),
// or (RESIDENT) in shared memory for the whole launch. Below the generated code, above `runtime.cuh`.

constexpr int CHUNK = 32;                           // of k, that a warp takes at once
constexpr int GRAIN = 16 / (int)sizeof(element);    // elements of a load of 16 bytes
constexpr int GRAIN_X = 16 / (int)sizeof(real);
#define PADDED(k) (((k) + CHUNK - 1) / CHUNK * CHUNK)

struct alignas(16) Sixteen { unsigned words[4]; };
struct alignas(16) Elements { element v[GRAIN]; };
struct alignas(16) Reals { real v[GRAIN_X]; };

__host__ __device__ constexpr int round_up(int a, int b) { return (a + b - 1) / b * b; }

// The stride of rows in shared memory: loads of 16 bytes must not meet in a bank.
__host__ __device__ constexpr int stride_of(int k) {
    return PRECISION == 0 ? round_up(k, 32) + GRAIN
                          : (k * (int)sizeof(element)) % 128 == 64 ? k
                          : (round_up(k * (int)sizeof(element), 128) + 64) / (int)sizeof(element);
}

template <int N, int K, int R> struct Shape {
    static constexpr int PASS = PRECISION ? (R > 16 ? 32 : 16) : R > 16 ? 32 : R > 8 ? 16 : R > 4 ? 8 : R > 1 ? 4 : 1;
    static constexpr int LANE_ROWS = PASS < 4 ? PASS : N >= 32 || PASS == 4 ? 4 : 8;  // of an FMA lane
    static constexpr int LANE_COLUMNS = 32 / LANE_ROWS;
    static constexpr int WIDE = round_up(N, PRECISION ? 8 : LANE_COLUMNS);
    static constexpr int CHUNKS = (K + CHUNK - 1) / CHUNK;
    static constexpr int STRIDE = stride_of(CHUNKS * CHUNK);  // of a resident weight
    static constexpr int STAGED = stride_of(CHUNK);
    static constexpr int SUMS = (R + PASS - 1) / PASS * PASS * WIDE;
};

// A chunk of some rows on its way from memory through registers, so that it is asked for early.
template <int ROWS> struct Rows {  // of x
    static constexpr int LOADS = (ROWS * (CHUNK / GRAIN_X) + 31) / 32;
    Reals held[LOADS];

    template <int K> INLINE void ask(const real *x, int rows, int chunk, int lane) {
#pragma unroll
        for (int i = 0; i < LOADS; i++) {
            const int e = i * 32 + lane, r = e / (CHUNK / GRAIN_X);
            const int k = chunk * CHUNK + e % (CHUNK / GRAIN_X) * GRAIN_X;
#pragma unroll
            for (int j = 0; j < GRAIN_X; j++) held[i].v[j] = 0;
            if (r >= ROWS || r >= rows || k >= K) continue;
            const real *from = x + (long)r * K + k;
            if (K % GRAIN_X == 0) {  // rows begin on 16 bytes
                held[i] = *(const Reals *)from;
            } else {
#pragma unroll
                for (int j = 0; j < GRAIN_X; j++) if (k + j < K) held[i].v[j] = from[j];
            }
        }
    }
    INLINE void lay(element *stage, int staged, int lane) {
#pragma unroll
        for (int i = 0; i < LOADS; i++) {
            const int e = i * 32 + lane, r = e / (CHUNK / GRAIN_X), k = e % (CHUNK / GRAIN_X) * GRAIN_X;
            if (r >= ROWS) continue;
#pragma unroll
            for (int j = 0; j < GRAIN_X; j++) stage[r * staged + k + j] = rounded(held[i].v[j]);
        }
    }
};

template <int COLUMNS> struct Columns {  // of a packed weight: row_of(n) is its row, -1 for zeros
    static constexpr int LOADS = (COLUMNS * (CHUNK / GRAIN) + 31) / 32;
    Sixteen held[LOADS];

    template <class RowOf>
    INLINE void ask(const element *weight, int padded, RowOf row_of, int chunk, int lane) {
#pragma unroll
        for (int i = 0; i < LOADS; i++) {
            const int e = i * 32 + lane, n = e / (CHUNK / GRAIN);
            const int k = chunk * CHUNK + e % (CHUNK / GRAIN) * GRAIN;
            const long row = n < COLUMNS && k < padded ? row_of(n) : -1;
            held[i] = Sixteen{{0, 0, 0, 0}};
            if (row >= 0) held[i] = *(const Sixteen *)(weight + row * padded + k);
        }
    }
    INLINE void lay(element *stage, int staged, int lane) {
#pragma unroll
        for (int i = 0; i < LOADS; i++) {
            const int e = i * 32 + lane, n = e / (CHUNK / GRAIN), k = e % (CHUNK / GRAIN) * GRAIN;
            if (n < COLUMNS) *(Sixteen *)&stage[n * staged + k] = held[i];
        }
    }
};

// The part of a product that a warp has in its registers: PASS rows, all columns, some of k.
template <int N, int K, int R> struct Part {
    typedef Shape<N, K, R> S;
#if PRECISION == 0
    static constexpr int ROWS = S::PASS / S::LANE_ROWS, COLUMNS = S::WIDE / S::LANE_COLUMNS;
    real c[ROWS][COLUMNS];

    INLINE void multiply(const element *stage, const element *w, int stride, int lane) {
        const int lr = lane / S::LANE_COLUMNS, lc = lane % S::LANE_COLUMNS;
#pragma unroll 2
        for (int k = 0; k < CHUNK; k += GRAIN) {
            Elements a[ROWS];
#pragma unroll
            for (int i = 0; i < ROWS; i++) a[i] = *(const Elements *)&stage[(lr + S::LANE_ROWS * i) * S::STAGED + k];
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) {
                const Elements b = *(const Elements *)&w[(lc + S::LANE_COLUMNS * j) * stride + k];
#pragma unroll
                for (int i = 0; i < ROWS; i++)
#pragma unroll
                    for (int n = 0; n < GRAIN; n++) c[i][j] = OF(fma)(a[i].v[n], b.v[n], c[i][j]);
            }
        }
    }
    INLINE void store(real *part, int lane) const {
        const int lr = lane / S::LANE_COLUMNS, lc = lane % S::LANE_COLUMNS;
#pragma unroll
        for (int i = 0; i < ROWS; i++)
#pragma unroll
            for (int j = 0; j < COLUMNS; j++)
                part[(lr + S::LANE_ROWS * i) * S::WIDE + lc + S::LANE_COLUMNS * j] = c[i][j];
    }
    INLINE void clear() {
#pragma unroll
        for (int i = 0; i < ROWS; i++)
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) c[i][j] = 0;
    }
#else
    // Lane (g, q) holds 16 bytes of row g at 16 q of each 64: the k of two mma, in an order of its own
    // that is the same for x and for the weight.
    static constexpr int ROWS = S::PASS / 16, COLUMNS = S::WIDE / 8;
    float c[ROWS][COLUMNS][4];

    INLINE void multiply(const element *stage, const element *w, int stride, int lane) {
        const int g = lane / 4, q = lane % 4;
#pragma unroll
        for (int k = 0; k < CHUNK; k += 4 * GRAIN) {
            Sixteen a[ROWS][2];
#pragma unroll
            for (int i = 0; i < ROWS; i++)
#pragma unroll
                for (int h = 0; h < 2; h++)
                    a[i][h] = *(const Sixteen *)&stage[(16 * i + 8 * h + g) * S::STAGED + k + q * GRAIN];
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) {
                const Sixteen b = *(const Sixteen *)&w[(8 * j + g) * stride + k + q * GRAIN];
#pragma unroll
                for (int i = 0; i < ROWS; i++)
#pragma unroll
                    for (int n = 0; n < 4; n += 2)
                        mma(c[i][j], a[i][0].words[n], a[i][1].words[n], a[i][0].words[n + 1],
                            a[i][1].words[n + 1], b.words[n], b.words[n + 1]);
            }
        }
    }
    INLINE void store(real *part, int lane) const {
        const int g = lane / 4, q = lane % 4;
#pragma unroll
        for (int i = 0; i < ROWS; i++)
#pragma unroll
            for (int j = 0; j < COLUMNS; j++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    part[(16 * i + e / 2 * 8 + g) * S::WIDE + 8 * j + 2 * q + e % 2] = c[i][j][e];
    }
    INLINE void clear() {
#pragma unroll
        for (int i = 0; i < ROWS; i++)
#pragma unroll
            for (int j = 0; j < COLUMNS; j++)
#pragma unroll
                for (int e = 0; e < 4; e++) c[i][j][e] = 0;
    }
#endif
};

// Shared memory of products: first every warp's stage, then every warp's part.
template <int N, int K, int R, bool RESIDENT> __host__ __device__ constexpr int working_bytes() {
    typedef Shape<N, K, R> S;
    return WARPS * (S::PASS + (RESIDENT ? 0 : S::WIDE)) * S::STAGED * (int)sizeof(element) +
           WARPS * S::PASS * S::WIDE * (int)sizeof(real);
}

// Fill sums, of SUMS numbers in shared memory. x is the first row of the tile, rows of K numbers.
template <int N, int K, int R, bool RESIDENT, class RowOf>
__device__ void product(const real *x, int rows, const element *weight, RowOf row_of,
                        unsigned char *working, real *sums) {
    typedef Shape<N, K, R> S;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    element *stage = (element *)working + warp * (S::PASS + (RESIDENT ? 0 : S::WIDE)) * S::STAGED;
    element *w_stage = stage + S::PASS * S::STAGED;
    real *parts = (real *)((element *)working + WARPS * (S::PASS + (RESIDENT ? 0 : S::WIDE)) * S::STAGED);
#pragma unroll 1
    for (int r0 = 0; r0 < R; r0 += S::PASS) {
        Part<N, K, R> part;
        part.clear();
        Rows<S::PASS> next;
        Columns<RESIDENT ? 1 : S::WIDE> w_next;
        next.template ask<K>(x + (long)r0 * K, rows - r0, warp, lane);
        if (!RESIDENT) w_next.ask(weight, PADDED(K), row_of, warp, lane);
#pragma unroll 1
        for (int chunk = warp; chunk < S::CHUNKS; chunk += WARPS) {
            __syncwarp();  // the chunk before has been read
            next.lay(stage, S::STAGED, lane);
            if (!RESIDENT) w_next.lay(w_stage, S::STAGED, lane);
            if (chunk + WARPS < S::CHUNKS) {
                next.template ask<K>(x + (long)r0 * K, rows - r0, chunk + WARPS, lane);
                if (!RESIDENT) w_next.ask(weight, PADDED(K), row_of, chunk + WARPS, lane);
            }
            __syncwarp();  // this one is there, and so is the whole warp, as an mma wants it
            if (RESIDENT) part.multiply(stage, weight + chunk * CHUNK, S::STRIDE, lane);
            else part.multiply(stage, w_stage, S::STAGED, lane);
        }
        part.store(parts + warp * S::PASS * S::WIDE, lane);
        __syncthreads();
        for (int e = threadIdx.x; e < S::PASS * S::WIDE; e += THREADS) {
            real sum = 0;
#pragma unroll
            for (int one = 0; one < WARPS; one++) sum += parts[one * S::PASS * S::WIDE + e];
            sums[r0 * S::WIDE + e] = sum;
        }
        __syncthreads();
    }
}

// The columns of this block from a packed weight into shared memory, for the whole launch.
template <int N, int K, int R, class RowOf>
__device__ void reside(const element *weight, RowOf row_of, element *to) {
    typedef Shape<N, K, R> S;
    for (int e = threadIdx.x; e < S::WIDE * (S::STRIDE / GRAIN); e += THREADS) {
        const int n = e / (S::STRIDE / GRAIN), k = e % (S::STRIDE / GRAIN) * GRAIN;
        const long row = k < PADDED(K) ? row_of(n) : -1;
        Sixteen held = Sixteen{{0, 0, 0, 0}};
        if (row >= 0) held = *(const Sixteen *)(weight + row * PADDED(K) + k);
        *(Sixteen *)&to[n * S::STRIDE + k] = held;
    }
}

// A weight, with any strides, as rows of PADDED(depth) elements with zeros at the end.
extern "C" __global__ void pack(const real *weight, long columns, long depth, long column_step,
                                long depth_step, element *to) {
    const int padded = (int)PADDED(depth), all = (int)columns * padded;
    for (int e = blockIdx.x * blockDim.x + threadIdx.x; e < all; e += gridDim.x * blockDim.x) {
        const bool turned = column_step == 1;  // then neighbours read what lies side by side
        const int n = turned ? e % (int)columns : e / padded, k = turned ? e / (int)columns : e % padded;
        to[(long)n * padded + k] =
            k < depth ? rounded(weight[n * column_step + k * depth_step]) : (element)0;
    }
}
