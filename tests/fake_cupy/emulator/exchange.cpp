// Exchanges of the lanes of a warp: values, votes and the operands of an mma. Each thread has two
// slots that it uses in turn, so that one meeting of a whole warp is enough: no lane comes to use a
// slot again before all have met once more, and have read it by then. Some lanes of a warp use a
// third slot and meet twice, since the others may be anywhere.
#include <cstring>

#include "scheduler.h"

static void meet(unsigned mask, EmulatedPlace place) {
  if (!(mask >> now->rank % 32 & 1))
    fail("thread " + named(now->index) + " is no lane of its own mask");
  now->mask = mask;
  now->place = place;
  pause(WARP);
}

static size_t slot(int turn) { return turn * (now->block->threads.size() + 32) + now->rank; }

void emulated_sync_warp(unsigned mask) { meet(mask, EMULATED_SYNCWARP); }

static const unsigned long long* gather(unsigned mask, unsigned long long value) {
  std::vector<unsigned long long>& slots = now->block->slots;
  const bool whole = mask == ~0u;
  const size_t at = slot(whole ? now->turn : 2);
  if (whole) now->turn ^= 1;
  slots[at] = value;
  meet(mask, EMULATED_SHUFFLE);
  const unsigned long long* found = &slots[at - now->rank % 32];
  if (whole) return found;
  memcpy(now->seen, found, sizeof now->seen);
  meet(mask, EMULATED_SHUFFLE);
  return now->seen;
}

unsigned long long emulated_shuffle(unsigned mask, unsigned long long value, int from) {
  const unsigned first = now->rank & ~31u;
  if (first + from >= now->block->threads.size() || !(mask >> from & 1))
    fail("thread " + named(now->index) + " reads lane " + std::to_string(from) +
         " in a shuffle, which is not in its mask or its block");
  return gather(mask, value)[from];
}

unsigned emulated_ballot(unsigned mask, int vote) {
  const unsigned long long* votes = gather(mask, vote != 0);
  unsigned out = 0;
  for (unsigned i = 0; i < 32 && (now->rank & ~31u) + i < now->block->threads.size(); i++)
    if (mask >> i & 1) out |= unsigned(votes[i]) << i;
  return out;
}

static float bf16(unsigned word, int high) {
  const unsigned bits = high ? word & 0xffff0000u : word << 16;
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

static float tf32(unsigned word) {
  word &= 0xffffe000u;
  float x;
  memcpy(&x, &word, 4);
  return x;
}

// mma.sync m16n8k16 (bf16) and m16n8k8 (TF32), a by rows and b by columns, each lane's share of
// them as the PTX ISA lays it down.
void emulated_mma(float* c, const unsigned* a, const unsigned* b, int is_tf32) {
  Block& block = *now->block;
  const size_t at = slot(now->turn);
  Words& mine = block.words[at];
  memcpy(mine.a, a, sizeof mine.a);
  memcpy(mine.b, b, sizeof mine.b);
  const unsigned lane = now->rank % 32;
  if ((now->rank & ~31u) + 32 > block.threads.size()) fail("mma in a warp of fewer than 32 lanes");
  now->turn ^= 1;
  meet(~0u, EMULATED_MMA);
  const Words* warp = &block.words[at - lane];
  for (unsigned i = 0; i < 4; i++) {
    const unsigned row = lane / 4, part = i / 2, column = lane % 4 * 2 + i % 2;
    for (unsigned k = 0; k < (is_tf32 ? 8u : 16u); k++) {
      const unsigned quad = is_tf32 ? k % 4 : k % 8 / 2, far = is_tf32 ? k / 4 : k / 8;
      const unsigned x = warp[row * 4 + quad].a[part + 2 * far], y = warp[column * 4 + quad].b[far];
      c[i] += is_tf32 ? tf32(x) * tf32(y) : bf16(x, k & 1) * bf16(y, k & 1);
    }
  }
}
