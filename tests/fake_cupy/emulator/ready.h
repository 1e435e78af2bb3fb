// The threads of a launch that can go on, and which of them does. Below scheduler.cpp.
#pragma once
#include <algorithm>
#include <queue>
#include <vector>

#include "scheduler.h"

struct Turn {
  long priority;
  Thread* thread;
  bool operator<(const Turn& other) const {
    if (priority != other.priority) return priority > other.priority;
    return thread->number > other.thread->number;
  }
};

// In a fixed order each thread has a bit, the first to run the lowest: a heap of them took a quarter
// of the time of a launch. In a drawn order there is a heap.
struct Ready {
  std::priority_queue<Turn> drawn;
  std::vector<unsigned long long> bits;
  std::vector<Thread*> threads;
  size_t count = 0, lowest = 0;  // no word before the lowest has a bit

  void clear(size_t most) {
    drawn = {};
    bits.assign(most / 64 + 1, 0);
    threads.resize(most);
    count = lowest = 0;
  }
  void push(size_t place, Thread& thread) {
    threads[place] = &thread;
    bits[place / 64] |= 1ull << place % 64;
    lowest = std::min(lowest, place / 64);
    count++;
  }
  bool empty() const { return !count && drawn.empty(); }
  Thread& pop() {
    if (!count) {
      Thread& thread = *drawn.top().thread;
      drawn.pop();
      return thread;
    }
    while (!bits[lowest]) lowest++;
    const int bit = __builtin_ctzll(bits[lowest]);
    bits[lowest] &= bits[lowest] - 1;
    count--;
    return *threads[lowest * 64 + bit];
  }
};
