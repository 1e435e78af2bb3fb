// Threads that switch by a call: a stack each, and the registers that a callee saves. On x86-64
// without the system call that swapcontext() makes for signals.
#pragma once
#include <cstddef>

static const size_t STACK = 128 * 1024;

#if defined(__x86_64__)
struct Fiber { void* at; };
#else
#include <ucontext.h>
struct Fiber { ucontext_t at; };
#endif

void start(Fiber& fiber, char* stack, void (*entry)());
void go(Fiber& from, Fiber& to);
char* stack_of(size_t i);  // lives as long as the process
