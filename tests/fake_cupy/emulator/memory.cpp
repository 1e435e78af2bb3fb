// The memory that a kernel may use. Kernels are compiled with a call before each load and store
// that the compiler cannot prove to be of a local variable (-fsanitize=kernel-address, its checks
// as functions), so a bad address ends the launch with a message instead of the process.
#include <dlfcn.h>
#include <link.h>

#include "scheduler.h"

static const char *module_low, *module_high;
static const EmulatedRange* last;

struct Found { const char* address; Bytes statics; const char *low, *high; };

static int look(dl_phdr_info* info, size_t, void* data) {
  Found& found = *static_cast<Found*>(data);
  const char* base = reinterpret_cast<const char*>(info->dlpi_addr);
  const char *low = nullptr, *high = nullptr;
  Bytes statics = {nullptr, 0};
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    if (part.p_type == PT_TLS) statics = {static_cast<char*>(info->dlpi_tls_data), part.p_memsz};
    if (part.p_type != PT_LOAD) continue;
    const char* from = base + part.p_vaddr;
    if (!low || from < low) low = from;
    if (from + part.p_memsz > high) high = from + part.p_memsz;
  }
  if (found.address < low || found.address >= high) return 0;
  found = {found.address, statics, low, high};
  return 1;
}

static Found module_of(char* (*statics)()) {
  statics();  // from now on the variables of this thread have a place
  Found found = {reinterpret_cast<const char*>(statics), {nullptr, 0}, nullptr, nullptr};
  dl_iterate_phdr(look, &found);
  return found;
}

Bytes statics_of(char* (*statics)()) { return module_of(statics).statics; }
unsigned long emulated_static_shared(char* (*statics)()) { return statics_of(statics).size; }

static Bytes shared;
void find_module(const EmulatedLaunch& launch) {
  const Found found = module_of(launch.statics);
  module_low = found.low;
  module_high = found.high;
  shared = found.statics;
  last = launch.ranges;
}

static bool within(const char* at, size_t bytes, const char* low, const char* high) {
  return at >= low && at + bytes <= high;
}

static std::string place_of(const char* at) {
  const EmulatedRange* nearest = nullptr;
  size_t least = 4096;  // farther away it belongs to nothing
  for (int i = 0; i < current->range_count; i++) {
    const EmulatedRange& one = current->ranges[i];
    const size_t gap = at < one.low ? one.low - at : at >= one.high ? at - one.high : 0;
    if (gap < least) { least = gap; nearest = &one; }
  }
  const char* dynamic = emulated_now.dynamic_shared;
  if (at >= dynamic && at < dynamic + current->dynamic_shared + 4096)
    return "at byte " + std::to_string(at - dynamic) + " of " +
           std::to_string(current->dynamic_shared) + " of dynamic shared memory";
  if (at < static_cast<const char*>(nullptr) + 4096) return "at a null pointer";
  if (!nearest) return "outside of all arrays";
  if (at < nearest->low)
    return std::to_string(least) + " bytes before argument " + std::to_string(nearest->argument);
  return std::to_string(at - nearest->high) + " bytes past the end of argument " +
         std::to_string(nearest->argument);
}

static void check_shared(const char* at, size_t bytes, bool store) {
  Block& block = *now->block;
  const bool dynamic = !within(at, bytes, shared.low, shared.low + shared.size);
  Shared memory = {dynamic ? emulated_now.dynamic_shared : shared.low,
                   dynamic ? "dynamic shared memory" : "static shared memory",
                   dynamic ? &block.dynamic_shadows : &block.static_shadows};
  check_race(memory, at, bytes, store);
}

static void check(const char* at, size_t bytes, bool store, bool whole, bool atomic = false) {
  if (!now) return;
  settle_race();
  if (++now->accesses > 1 << 16) {  // a loop that waits for a plain variable
    now->accesses = 0;
    emulated_spin();
  }
  const bool aligned = !whole || reinterpret_cast<size_t>(at) % bytes == 0;
  if (within(at, bytes, now->stack, now->stack + STACK)) return;
  const char* indices = reinterpret_cast<const char*>(&emulated_now);
  if (!store && within(at, bytes, indices, indices + sizeof emulated_now)) return;
  const char* dynamic = emulated_now.dynamic_shared;
  bool good = within(at, bytes, dynamic, dynamic + current->dynamic_shared) ||
              within(at, bytes, shared.low, shared.low + shared.size);
  if (good && aligned) {
    if (current->races && !atomic) check_shared(at, bytes, store);
    return;
  }
  good = good || (last && within(at, bytes, last->low, last->high));
  for (int i = 0; !good && i < current->range_count; i++) {
    last = &current->ranges[i];
    good = within(at, bytes, last->low, last->high);
  }
  good = good || within(at, bytes, module_low, module_high);
  if (good && aligned) return;
  const std::string what = (store ? " writes " : " reads ") + std::to_string(bytes) + " bytes ";
  fail("thread " + named(now->index) + " of block " + named(now->block->index) + what +
       (good ? "that are not aligned to their size" : place_of(at)));
}

void emulated_atomic(const void* at, unsigned long bytes) {
  check(static_cast<const char*>(at), bytes, true, true, true);
}

extern "C" {
#define CHECKS(n) \
  void __asan_load##n##_noabort(const char* at) { check(at, n, false, true); } \
  void __asan_store##n##_noabort(const char* at) { check(at, n, true, true); }
CHECKS(1) CHECKS(2) CHECKS(4) CHECKS(8) CHECKS(16)
void __asan_loadN_noabort(const char* at, size_t n) { check(at, n, false, false); }
void __asan_storeN_noabort(const char* at, size_t n) { check(at, n, true, false); }
void __asan_handle_no_return() {}
}
