// Mathematics of CUDA that C lacks: overloads, fast forms, bits, conversions. Part of cuda.h.
#pragma once

template <class To, class From> static inline To emulated_bits(From value) {
  static_assert(sizeof(To) == sizeof(From), "bits of the same width");
  To out;
  __builtin_memcpy(&out, &value, sizeof out);
  return out;
}
static inline float __uint_as_float(unsigned x) { return emulated_bits<float>(x); }
static inline unsigned __float_as_uint(float x) { return emulated_bits<unsigned>(x); }
static inline float __int_as_float(int x) { return emulated_bits<float>(x); }
static inline int __float_as_int(float x) { return emulated_bits<int>(x); }
static inline double __longlong_as_double(long long x) { return emulated_bits<double>(x); }
static inline long long __double_as_longlong(double x) { return emulated_bits<long long>(x); }

static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline float rsqrt(float x) { return rsqrtf(x); }
#define __expf(x) expf(x)  // C's headers have functions of these names
#define __exp2f(x) exp2f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __powf(x, y) powf(x, y)
static inline float __fdividef(float x, float y) { return x / y; }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline double __dadd_rn(double x, double y) { return x + y; }
static inline double __dmul_rn(double x, double y) { return x * y; }
static inline float __saturatef(float x) { return x > 0.0f ? x < 1.0f ? x : 1.0f : 0.0f; }

// A double's function by its short name takes a float as well.
#define EMULATED_OVERLOAD(name) \
  static inline float name(float x) { return name##f(x); }
EMULATED_OVERLOAD(exp) EMULATED_OVERLOAD(exp2) EMULATED_OVERLOAD(expm1) EMULATED_OVERLOAD(log)
EMULATED_OVERLOAD(log2) EMULATED_OVERLOAD(log10) EMULATED_OVERLOAD(log1p) EMULATED_OVERLOAD(tanh)
EMULATED_OVERLOAD(sqrt) EMULATED_OVERLOAD(cbrt) EMULATED_OVERLOAD(sin) EMULATED_OVERLOAD(cos)
EMULATED_OVERLOAD(tan) EMULATED_OVERLOAD(sinh) EMULATED_OVERLOAD(cosh) EMULATED_OVERLOAD(asin)
EMULATED_OVERLOAD(acos) EMULATED_OVERLOAD(atan) EMULATED_OVERLOAD(erf) EMULATED_OVERLOAD(erfc)
EMULATED_OVERLOAD(fabs) EMULATED_OVERLOAD(floor) EMULATED_OVERLOAD(ceil) EMULATED_OVERLOAD(trunc)
EMULATED_OVERLOAD(rint) EMULATED_OVERLOAD(round) EMULATED_OVERLOAD(asinh) EMULATED_OVERLOAD(acosh)
EMULATED_OVERLOAD(atanh) EMULATED_OVERLOAD(tgamma) EMULATED_OVERLOAD(lgamma)
#undef EMULATED_OVERLOAD
static inline float abs(float x) { return fabsf(x); }
static inline double abs(double x) { return fabs(x); }
static inline int abs(int x) { return x < 0 ? -x : x; }
static inline long abs(long x) { return x < 0 ? -x : x; }
static inline float pow(float x, float y) { return powf(x, y); }
static inline float fma(float x, float y, float z) { return fmaf(x, y, z); }
static inline float fmod(float x, float y) { return fmodf(x, y); }
static inline float atan2(float x, float y) { return atan2f(x, y); }
static inline float copysign(float x, float y) { return copysignf(x, y); }
#undef isnan
#undef isinf
#undef isfinite
#undef signbit
template <class T> static inline bool isnan(T x) { return __builtin_isnan(x); }
template <class T> static inline bool isinf(T x) { return __builtin_isinf(x); }
template <class T> static inline bool isfinite(T x) { return __builtin_isfinite(x); }
template <class T> static inline bool signbit(T x) { return __builtin_signbit(x); }

#define EMULATED_EXTREMES(type) \
  static inline type min(type x, type y) { return x < y ? x : y; } \
  static inline type max(type x, type y) { return x > y ? x : y; }
EMULATED_EXTREMES(int) EMULATED_EXTREMES(unsigned) EMULATED_EXTREMES(long)
EMULATED_EXTREMES(unsigned long) EMULATED_EXTREMES(long long) EMULATED_EXTREMES(unsigned long long)
#undef EMULATED_EXTREMES
static inline float min(float x, float y) { return fminf(x, y); }  // the one that is no NaN
static inline float max(float x, float y) { return fmaxf(x, y); }
static inline double min(double x, double y) { return fmin(x, y); }
static inline double max(double x, double y) { return fmax(x, y); }

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline float __int2float_rn(int x) { return x; }
static inline float __double2float_rn(double x) { return x; }

namespace emulated {
// cvt.rn.bf16.f32: to the nearest, ties to even
static inline unsigned short to_bf16(float x) {
  const unsigned bits = __float_as_uint(x);
  return x == x ? (bits + 0x7fff + (bits >> 16 & 1)) >> 16 : 0x7fff;
}
// cvt.rna.tf32.f32: to the nearest, ties away from zero
static inline float to_tf32(float x) {
  const unsigned bits = __float_as_uint(x);
  return x - x == 0 ? __uint_as_float((bits + 0x1000) & 0xffffe000u) : x;
}
// cvt.rn.f16.f32 and back
static inline unsigned short to_half(float x) { return emulated_bits<unsigned short>(_Float16(x)); }
static inline float from_half(unsigned short x) { return emulated_bits<_Float16>(x); }
}  // namespace emulated
