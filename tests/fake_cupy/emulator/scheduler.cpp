// Runs the threads of a launch as fibers, each as far as it gets. A warp, a block or the grid goes
// on once all of its threads wait there; threads that can never go on are reported. Compiled once.
#include "scheduler.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <deque>

#include "ready.h"

EmulatedNow emulated_now;
Thread* now;
const EmulatedLaunch* current;

static Fiber scheduler;
static Block* loaded;     // the block that has its __shared__ variables in place
static Bytes statics;
static std::string fault;
static unsigned random_state;

static Ready ready;

std::string named(const uint3& i) {
  return "(" + std::to_string(i.x) + ", " + std::to_string(i.y) + ", " + std::to_string(i.z) + ")";
}

void pause(Scope scope) {
  settle_race();
  now->scope = scope;
  go(now->fiber, scheduler);
}

void fail(const std::string& message) {
  fault = message;
  for (;;) go(now->fiber, scheduler);  // never comes back
}

static void entry() {
  current->call(current->arguments);
  for (;;) pause(ENDED);
}

static unsigned draw() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  return random_state ^= random_state << 5;
}

static void wake(Thread& thread) {
  thread.scope = READY;
  const size_t n = thread.number;
  if (current->order == 2) ready.drawn.push({long(draw()), &thread});
  else ready.push(current->order == 0 ? n : ready.threads.size() - 1 - n, thread);
}

static void apply(std::vector<Store>& stores) {
  for (const Store& one : stores) memcpy(one.to, &one.bits, one.bytes);
  stores.clear();
}

void emulated_put(void* to, const void* from, int bytes) {
  Store one{to, 0, bytes};
  memcpy(&one.bits, from, bytes);
  now->stores.push_back(one);
}

static const Store* pending(const std::vector<Store>& stores, const void* at) {
  for (size_t i = stores.size(); i-- > 0;)
    if (stores[i].to == at) return &stores[i];
  return nullptr;
}

int emulated_own(const void* at, void* to, int bytes) {
  const Store* one = pending(now->stores, at);
  if (!one) one = pending(now->block->stores, at);
  if (one) memcpy(to, &one->bits, bytes);
  return one != nullptr;
}

// What happens before a release is what this thread has stored, and what the threads of its block
// had stored at the last __syncthreads.
void emulated_release() {
  apply(now->block->stores);
  apply(now->stores);
}

void emulated_sync_block() { pause(BLOCK); }
void emulated_sync_grid() {
  if (!current->cooperative) fail("the grid is synchronised in a launch that is not cooperative");
  pause(GRID);
}
void emulated_spin() { pause(SPIN); }

static void prepare(Block& block, uint3 index, unsigned first) {
  const unsigned *size = current->block, count = size[0] * size[1] * size[2];
  block.index = index;
  block.threads.resize(count);
  block.dynamic.assign(current->dynamic_shared + 1024, char(0xff));  // NaN to floats
  block.statics.assign(statics.size, char(0xff));
  block.slots.assign(3 * (count + 32), ~0ull);
  block.words.assign(2 * (count + 32), Words());
  block.waiting = 0;
  block.time = 1;
  block.warp_times.assign(count / 32 + 1, 1);
  block.dynamic_shadows.clear();
  block.static_shadows.clear();
  block.stores.clear();
  for (unsigned i = 0; i < count; i++) {
    Thread& t = block.threads[i];
    t.stack = stack_of(first + i);
    t.index = {i % size[0], i / size[0] % size[1], i / size[0] / size[1]};
    t.rank = i;
    t.number = first + i;
    t.block = &block;
    t.turn = 0;
    t.stores.clear();
    start(t.fiber, t.stack, entry);
    wake(t);
  }
}

static void load(Block& block) {
  if (loaded == &block) return;
  if (loaded) memcpy(loaded->statics.data(), statics.low, statics.size);
  memcpy(statics.low, block.statics.data(), statics.size);
  loaded = &block;
  emulated_now.block = block.index;
  const size_t at = reinterpret_cast<size_t>(block.dynamic.data());
  emulated_now.dynamic_shared = reinterpret_cast<char*>((at + 1023) / 1024 * 1024);
}

static void run_thread(Thread& t) {
  load(*t.block);
  now = &t;
  t.accesses = 0;
  emulated_now.thread = t.index;
  emulated_now.rank = t.rank;
  go(scheduler, t.fiber);
}

static void meet_warp(Thread& t) {
  std::vector<Thread>& all = t.block->threads;
  const size_t first = t.rank / 32 * 32, end = std::min<size_t>(first + 32, all.size());
  for (size_t i = first; i < end; i++) {
    const Thread& one = all[i];
    if (!(t.mask >> (i - first) & 1)) continue;
    if (one.scope != WARP) return;
    if (one.mask != t.mask || one.place != t.place) {
      const char* places[] = {"__syncwarp", "a shuffle or vote", "mma"};
      fault = "lanes of a warp meet at different places: thread " + named(one.index) + " at " +
              places[one.place] + ", thread " + named(t.index) + " at " + places[t.place] +
              (one.mask != t.mask ? ", with other masks" : "");
      return;
    }
  }
  if (t.place == EMULATED_SYNCWARP) t.block->warp_times[first / 32]++;
  for (size_t i = first; i < end; i++)
    if (t.mask >> (i - first) & 1) wake(all[i]);
}

static void meet_block(Block& block) {
  if (++block.waiting < block.threads.size()) return;
  block.waiting = 0;
  block.time++;
  for (Thread& one : block.threads) {
    block.stores.insert(block.stores.end(), one.stores.begin(), one.stores.end());
    one.stores.clear();
    wake(one);
  }
}

// Which threads wait where, of the first blocks that hang.
static std::string stuck(std::deque<Block>& blocks) {
  std::string text = "stuck:";
  int told = 0;
  for (Block& b : blocks) {
    size_t n[SCOPES] = {};
    const Thread* first[SCOPES] = {};
    for (Thread& t : b.threads)
      if (!n[t.scope]++) first[t.scope] = &t;
    if (n[ENDED] == b.threads.size() || told++ >= 4) continue;
    text += (told > 1 ? "; block " : " block ") + named(b.index) + ":";
    const char* at[] = {"ready", "wait for their warp", "wait at __syncthreads",
                        "wait for the grid", "spin", "have ended"};
    const char* comma = " ";
    for (int s = WARP; s < SCOPES; s++) {
      if (!n[s]) continue;
      text += comma + std::to_string(n[s]) + " " + at[s];
      text += " (first " + named(first[s]->index) + ")";
      comma = ", ";
    }
  }
  return text;
}

static void run(std::deque<Block>& blocks) {
  std::vector<Thread*> spinning;
  size_t count = 0, ended = 0, at_grid = 0;
  for (Block& b : blocks) count += b.threads.size();
  for (long rounds = 0; ended < count && fault.empty();) {
    if (ready.empty()) {
      if (spinning.empty() || ++rounds > current->spins) {
        fault = stuck(blocks);
        return;
      }
      for (Thread* t : spinning) wake(*t);
      spinning.clear();
    }
    Thread& t = ready.pop();
    run_thread(t);
    if (!fault.empty()) return;
    if (t.scope == WARP) meet_warp(t);
    if (t.scope == BLOCK) meet_block(*t.block);
    if (t.scope == SPIN) spinning.push_back(&t);
    if (t.scope == ENDED) ended++;
    if (t.scope == GRID && ++at_grid == count) {
      at_grid = 0;
      for (Block& b : blocks) {
        apply(b.stores);
        b.time++;
        for (Thread& one : b.threads) { apply(one.stores); wake(one); }
      }
    }
  }
  for (Block& b : blocks) {
    apply(b.stores);
    for (Thread& one : b.threads) apply(one.stores);
  }
}

static std::vector<uint3> block_indices(const EmulatedLaunch& launch) {
  std::vector<uint3> all;
  for (unsigned z = 0; z < launch.grid[2]; z++)
    for (unsigned y = 0; y < launch.grid[1]; y++)
      for (unsigned x = 0; x < launch.grid[0]; x++) all.push_back({x, y, z});
  if (launch.order == 1) std::reverse(all.begin(), all.end());
  if (launch.order == 2)
    for (size_t i = all.size(); i > 1; i--) std::swap(all[i - 1], all[draw() % i]);
  return all;
}

int emulated_launch(const EmulatedLaunch* launch) {
  current = launch;
  fault.clear();
  forget_races();
  random_state = launch->seed * 2654435761u + 88172645u;
  statics = statics_of(launch->statics);
  find_module(*launch);
  emulated_now.block_size = {launch->block[0], launch->block[1], launch->block[2]};
  emulated_now.grid_size = {launch->grid[0], launch->grid[1], launch->grid[2]};
  static std::deque<Block> blocks;  // kept, with its memory, from launch to launch
  std::vector<uint3> indices = block_indices(*launch);
  blocks.resize(launch->cooperative ? indices.size() : 1);
  const size_t threads = launch->block[0] * launch->block[1] * launch->block[2] * blocks.size();
  unsigned first = 0;
  for (size_t i = 0; i < indices.size() && fault.empty(); i++) {
    Block& block = launch->cooperative ? blocks[i] : blocks[0];
    loaded = nullptr;
    ready.clear(threads);
    prepare(block, indices[i], first);
    if (!launch->cooperative) run(blocks);
    else first += unsigned(block.threads.size());
  }
  if (launch->cooperative) {
    for (Block& b : blocks)  // the threads of the last block only are ready
      for (Thread& t : b.threads)
        if (&b != &blocks.back()) wake(t);
    run(blocks);
  }
  now = nullptr;
  if (fault.empty()) return 0;
  snprintf(launch->message, launch->message_size, "%s", fault.c_str());
  return 1;
}
