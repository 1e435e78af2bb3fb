// Threads, blocks and stores of the launch that runs: shared by scheduler.cpp, exchange.cpp and
// memory.cpp.
#pragma once
#include <string>
#include <vector>

#include "fibers.h"
#include "runtime.h"

enum Scope { READY, WARP, BLOCK, GRID, SPIN, ENDED, SCOPES };

struct Store { void* to; unsigned long long bits; int bytes; };
struct Words { unsigned a[4], b[2]; };  // operands of an mma
struct Block;

struct Thread {
  Fiber fiber;
  char* stack;
  uint3 index;
  unsigned rank, number;  // in its block, in the launch
  Block* block;
  Scope scope;
  unsigned mask;          // of the lanes that it waits for
  EmulatedPlace place;    // where it waits for them
  int turn;               // which of two slots its next exchange uses
  unsigned long long seen[32];  // values of some lanes, when not of all
  long accesses;          // to memory since it began to run
  std::vector<Store> stores;
};

// The accesses of two bytes of shared memory since the last barrier of the block. A rank and one,
// and a warp and one; 0 for none and 0xffff for several.
struct Shadow {
  unsigned write_time, write_warp_time, read_time, read_warp_time;
  unsigned short writer, reader, read_warps;
};

struct Block {
  uint3 index;
  unsigned time;                       // barriers of the block so far
  std::vector<unsigned> warp_times;    // calls of __syncwarp
  std::vector<Shadow> dynamic_shadows, static_shadows;
  std::vector<Thread> threads;
  std::vector<char> dynamic, statics;  // shared memory; statics: while another block runs
  std::vector<Store> stores;           // those of its threads before the last __syncthreads
  std::vector<unsigned long long> slots;
  std::vector<Words> words;
  size_t waiting;                      // threads at the barrier of the block
};

extern Thread* now;
extern const EmulatedLaunch* current;

void pause(Scope scope);                       // give way to the scheduler
[[noreturn]] void fail(const std::string& message);  // end the launch
std::string named(const uint3& index);

// races.cpp
struct Shared { const char* low; const char* name; std::vector<Shadow>* shadows; };
void check_race(Shared& memory, const char* at, size_t bytes, bool store);
void settle_pending();
extern const char* race_at;  // of a store that may be a race; null for none
inline void settle_race() {  // before a thread touches memory again or gives way
  if (race_at) settle_pending();
}
void forget_races();

// memory.cpp
struct Bytes { char* low; size_t size; };
void find_module(const EmulatedLaunch& launch);
Bytes statics_of(char* (*statics)());
