// Races in shared memory: two threads of a block that touch the same bytes, one of them to write,
// with neither a barrier of the block nor, within a warp, a __syncwarp between. Called by
// memory.cpp before each access. A race is seen in any order of the threads, also where values are
// right.
#include <cstring>

#include "scheduler.h"

static const unsigned short MANY = 0xffff;
struct Times { unsigned block, warp; };

// A store over one of another thread, which is no race where it writes what is there already.
const char* race_at;
static struct { size_t bytes; char old[16]; std::string message; } pending;

void settle_pending() {
  const bool same = !memcmp(race_at, pending.old, pending.bytes);
  race_at = nullptr;
  if (!same) fail(pending.message);
}

void forget_races() { race_at = nullptr; }

static std::string told(unsigned short other, const char* did, bool store, size_t at,
                        const char* what) {
  const bool known = other && other != MANY;
  return "a race in block " + named(now->block->index) + ": thread " + named(now->index) +
         (store ? " writes" : " reads") + " byte " + std::to_string(at) + " of " + what + " that " +
         (known ? "thread " + named(now->block->threads[other - 1].index) : "another thread") +
         did + " with no barrier between";
}

// A read: the reader is forgotten where all later ones of its warp are ordered after it.
static void note_read(Shadow& s, unsigned short me, unsigned short warp, const Times& t) {
  if (s.read_time != t.block) s.reader = s.read_warps = 0;
  s.read_warps = s.read_warps && s.read_warps != warp ? MANY : warp;
  s.reader = !s.reader || s.read_warp_time < t.warp || s.reader == me ? me : MANY;
  s.read_time = t.block;
  s.read_warp_time = t.warp;
}

void check_race(Shared& memory, const char* at, size_t bytes, bool store) {
  if (bytes == 1) return;  // the shadow has no place for each byte
  const unsigned short me = now->rank + 1, warp = now->rank / 32 + 1;
  const Times t = {now->block->time, now->block->warp_times[warp - 1]};
  const size_t offset = at - memory.low, end = (offset + bytes + 1) / 2;
  std::vector<Shadow>& shadows = *memory.shadows;
  if (shadows.size() < end) shadows.resize(end + 64);
  for (size_t i = offset / 2; i < end; i++) {
    Shadow& s = shadows[i];
    const bool wrote = s.writer && s.writer != me && s.write_time == t.block;
    const bool ordered = (s.writer - 1) / 32 + 1 == warp && s.write_warp_time < t.warp;
    if (wrote && !ordered) {
      const std::string message = told(s.writer, " wrote", store, offset, memory.name);
      if (!store || bytes > sizeof pending.old) fail(message);
      race_at = at;
      pending.bytes = bytes;
      memcpy(pending.old, at, bytes);
      pending.message = message;
    }
    if (!store) {
      note_read(s, me, warp, t);
      continue;
    }
    if (s.reader && s.read_time == t.block) {
      const bool far = s.read_warps != warp;
      if (far || (s.reader != me && s.read_warp_time >= t.warp))
        fail(told(far && s.reader == me ? MANY : s.reader, " read", true, offset, memory.name));
    }
    s.writer = me;
    s.write_time = t.block;
    s.write_warp_time = t.warp;
  }
}
