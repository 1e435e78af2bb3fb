// The call of a kernel by its signature, and what its parameters are. Put after a source; a line
// EMULATED_KERNEL(index, bound, name) follows for each kernel.
#pragma once

// What an argument has to be: 'p' a pointer, 'f' a float, 'i' an integer, 'b' a bool, 's' a struct;
// for pointers also what is pointed at.
struct EmulatedParameter { char kind; int bytes; char to; int to_bytes; };

template <class T> struct emulated_kind {
  static constexpr char value = __is_class(T) ? 's' : 'i';
  static constexpr int bytes = sizeof(T);
};
template <> struct emulated_kind<void> { static constexpr char value = 'v'; enum { bytes = 1 }; };
template <> struct emulated_kind<bool> { static constexpr char value = 'b'; enum { bytes = 1 }; };
template <> struct emulated_kind<float> { static constexpr char value = 'f'; enum { bytes = 4 }; };
template <> struct emulated_kind<double> { static constexpr char value = 'f'; enum { bytes = 8 }; };
template <class T> struct emulated_kind<const T> : emulated_kind<T> {};
template <class T> struct emulated_kind<volatile T> : emulated_kind<T> {};
template <class T> struct emulated_kind<T*> {
  static constexpr char value = 'p';
  enum { bytes = 8 };
};
template <class T> struct emulated_parameter {
  static constexpr EmulatedParameter value = {emulated_kind<T>::value, emulated_kind<T>::bytes,
                                              0, 0};
};
template <class T> struct emulated_parameter<T*> {
  static constexpr EmulatedParameter value = {'p', 8, emulated_kind<T>::value,
                                              emulated_kind<T>::bytes};
};
template <class T> struct emulated_parameter<T* __restrict> : emulated_parameter<T*> {};
template <class T> struct emulated_parameter<T* const> : emulated_parameter<T*> {};

template <class... A> struct EmulatedSignature {
  static constexpr int count = sizeof...(A);
  static constexpr EmulatedParameter parameters[] = {emulated_parameter<A>::value..., {}};
};
template <class... A> constexpr EmulatedSignature<A...> emulated_signature(void (*)(A...)) {
  return {};
}
template <unsigned... I> struct emulated_indices {};
// Arguments lie outside of what a kernel may read: here nothing is checked.
template <class... A, unsigned... I>
__attribute__((no_sanitize("kernel-address"), noinline))
static void emulated_call(void (*kernel)(A...), void** a, emulated_indices<I...>) {
  kernel(*static_cast<A*>(a[I])...);
}
template <class... A> static inline void emulated_call(void (*kernel)(A...), void** a) {
  emulated_call(kernel, a, emulated_indices<__integer_pack(sizeof...(A))...>());
}

// __launch_bounds__(threads, blocks...)
constexpr int emulated_first(int threads, int = 0, int = 0) { return threads; }

// An address among the __shared__ variables of this module.
extern "C" char* emulated_statics() {
  static __thread char first[16] __attribute__((aligned(16)));  // leaves others where they are
  return first;
}
// The names here are none that a kernel has.
#define EMULATED_KERNEL(index, bound, ...)                                                \
  extern "C" int emulated_bound_##index() { return emulated_first bound; }                \
  extern "C" void emulated_call_##index(void** emulated_a) {                              \
    emulated_call(&__VA_ARGS__, emulated_a);                                              \
  }                                                                                       \
  extern "C" int emulated_parameters_##index(const EmulatedParameter** emulated_out) {    \
    using EmulatedFound = decltype(emulated_signature(&__VA_ARGS__));                     \
    *emulated_out = EmulatedFound::parameters;                                            \
    return EmulatedFound::count;                                                          \
  }
