// What kernels on the CPU (cuda.h) ask of the scheduler (scheduler.cpp), and what a launch is told.
// Plain types only, as it is compiled with every kernel.
#pragma once

struct uint3 { unsigned x, y, z; };

// The running thread; its indices are copied here before it goes on.
struct EmulatedNow {
  uint3 thread, block, block_size, grid_size;
  unsigned rank;         // of the thread in its block
  char* dynamic_shared;  // of its block
};

// Memory that a kernel may use: bytes from `low` up to `high`, of the argument of this number.
struct EmulatedRange { const char *low, *high; int argument; };

struct EmulatedLaunch {
  void (*call)(void** arguments);
  char* (*statics)();  // an address within the __shared__ variables of the module
  void** arguments;
  unsigned grid[3], block[3];
  unsigned long dynamic_shared;
  int races;               // whether they are looked for in shared memory
  int cooperative, order;  // order: 0 the first thread that can run, 1 the last, 2 any, by `seed`
  unsigned seed;
  long spins;              // rounds in which nothing but spinning threads runs, until it is stuck
  const EmulatedRange* ranges;
  int range_count;
  char* message;           // of a launch that fails
  unsigned long message_size;
};

enum EmulatedPlace { EMULATED_SYNCWARP, EMULATED_SHUFFLE, EMULATED_MMA };

extern "C" {
extern EmulatedNow emulated_now;
int emulated_launch(const EmulatedLaunch*);  // 0, or 1 with a message
unsigned long emulated_static_shared(char* (*statics)());  // bytes of a module
void emulated_atomic(const void* at, unsigned long bytes);  // check the address of an atomic
void emulated_sync_block();
void emulated_sync_grid();
void emulated_sync_warp(unsigned mask);
// Meet the lanes of a mask; return the value of one of them, or a bit of each.
unsigned long long emulated_shuffle(unsigned mask, unsigned long long value, int from);
unsigned emulated_ballot(unsigned mask, int vote);
void emulated_spin();                        // let other threads run: this one waits for them
void emulated_put(void* to, const void* from, int bytes);
void emulated_release();
void emulated_mma(float* c, const unsigned* a, const unsigned* b, int tf32);
}
