// The loops of token merging over tokens and channels, made for each type of element. A file of its
// own: they want -O3, which GCC 12 needs to make vectors of loops of unknown length.
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include "core/ops/token_merge_inl.h"

namespace xp::ops {

#define XP_TOKEN_MERGE_LOOPS(T, Sum)                                                               \
  template void split_normalised<T>(const T*, int64_t, int64_t, int64_t, int64_t, int64_t, float*, \
                                    float*);                                                       \
  template void merge_forward<T, Sum>(const T*, const float*, const int64_t*, int64_t, int64_t,    \
                                      int64_t, T*, float*);                                        \
  template void merge_backward<T, Sum>(const T*, const float*, const float*, const int64_t*,       \
                                       int64_t, int64_t, T*)

XP_TOKEN_MERGE_LOOPS(float, float);
XP_TOKEN_MERGE_LOOPS(double, double);
XP_TOKEN_MERGE_LOOPS(c10::BFloat16, float);
XP_TOKEN_MERGE_LOOPS(c10::Half, float);

#undef XP_TOKEN_MERGE_LOOPS

}  // namespace xp::ops
