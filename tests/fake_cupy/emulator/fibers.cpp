// The switch between threads and their stacks. Below scheduler.cpp.
#include "fibers.h"

#include <sys/mman.h>

#include <new>
#include <vector>

#if defined(__x86_64__)
extern "C" void emulated_switch(void** from, void* to);
asm(R"(
.text
.hidden emulated_switch
.globl emulated_switch
.type emulated_switch, @function
emulated_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulated_switch, . - emulated_switch
)");

void start(Fiber& fiber, char* stack, void (*entry)()) {
  void** top = reinterpret_cast<void**>(stack + STACK);
  top[-2] = reinterpret_cast<void*>(entry);  // the stack is 8 beyond 16 bytes at an entry
  for (int i = 3; i <= 8; i++) top[-i] = nullptr;
  fiber.at = top - 8;
}
void go(Fiber& from, Fiber& to) { emulated_switch(&from.at, to.at); }
#else
void start(Fiber& fiber, char* stack, void (*entry)()) {
  getcontext(&fiber.at);
  fiber.at.uc_stack.ss_sp = stack;
  fiber.at.uc_stack.ss_size = STACK;
  fiber.at.uc_link = nullptr;
  makecontext(&fiber.at, entry, 0);
}
void go(Fiber& from, Fiber& to) { swapcontext(&from.at, &to.at); }
#endif

// Pages that no thread has touched take no memory.
char* stack_of(size_t i) {
  static std::vector<char*> all;
  const size_t many = 64;
  while (all.size() <= i) {
    void* got = mmap(nullptr, many * STACK, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) throw std::bad_alloc();
    for (size_t j = 0; j < many; j++) all.push_back(static_cast<char*>(got) + j * STACK);
  }
  return all[i];
}
