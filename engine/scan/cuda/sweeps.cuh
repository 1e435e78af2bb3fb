// The barrier of a persistent kernel, and what is done where one is given up. Below generated code.

// Blocks of the same rows of the batch wait for each other at a counter in a cache line of its own,
// which is zero before the launch.
struct Barrier {
    unsigned epoch, all, *counter;
    int *fault, *good;

    __device__ Barrier(unsigned *counters, int *fault, int *good)
        : epoch(0), all(gridDim.x), counter(counters + 32 * blockIdx.y), fault(fault), good(good) {}

    // Return once all of them have arrived, and what they have put is there; false: leave the kernel.
    INLINE bool meet() {
        epoch++;
        __syncthreads();
        if (threadIdx.x == 0) {
            release_add(counter);
            int ok = 1;
            for (long spin = 0; load_acquire(counter) < epoch * all; spin++) {
                if (spin < SPINS) continue;
                *fault = (int)epoch;
                ok = 0;
                break;
            }
            *good = ok;
        }
        __syncthreads();
        return *good;
    }
};
