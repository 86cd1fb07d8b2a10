#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/ops/token_merge.h"

namespace xp::ops {

template <class T>
void split_normalised(const T* keys, int64_t heads, int64_t head_stride, int64_t tokens,
                      int64_t token_stride, int64_t channels, float* a, float* b) {
  for (int64_t token = 0; token < tokens; ++token) {
    float* const row = (token % 2 == 0 ? a : b) + token / 2 * channels;
    const T* const first = keys + token * token_stride;
    for (int64_t c = 0; c < channels; ++c) row[c] = static_cast<float>(first[c]);
    for (int64_t head = 1; head < heads; ++head) {
      const T* const key = first + head * head_stride;
      for (int64_t c = 0; c < channels; ++c) row[c] += static_cast<float>(key[c]);
    }
    double square = 0;
    for (int64_t c = 0; c < channels; ++c) square += static_cast<double>(row[c]) * row[c];
    const float scale = static_cast<float>(1 / std::max(std::sqrt(square), 1e-30));
    for (int64_t c = 0; c < channels; ++c) row[c] *= scale;
  }
}

template <class T, class Sum>
void merge_forward(const T* x, const float* size, const int64_t* target, int64_t tokens,
                   int64_t channels, int64_t after, T* out, float* out_size) {
  // Sources of each new token, in order: heads of lists that are threaded through `next`.
  std::vector<int64_t> head(static_cast<size_t>(after), -1);
  std::vector<int64_t> next(static_cast<size_t>(tokens), -1);
  std::fill_n(out_size, after, 0.0F);
  for (int64_t token = tokens - 1; token >= 0; --token) {
    const int64_t to = target[token];
    if (to < 0) continue;
    next[static_cast<size_t>(token)] = head[static_cast<size_t>(to)];
    head[static_cast<size_t>(to)] = token;
    out_size[to] += size != nullptr ? size[token] : 1.0F;
  }
  std::vector<Sum> sum(static_cast<size_t>(channels));
  for (int64_t to = 0; to < after; ++to) {
    T* const row = out + to * channels;
    const int64_t first = head[static_cast<size_t>(to)];
    if (first < 0 || out_size[to] <= 0) {
      std::fill_n(row, channels, T(0));
      continue;
    }
    if (next[static_cast<size_t>(first)] < 0) {
      std::memcpy(static_cast<void*>(row), x + first * channels,
                  static_cast<size_t>(channels) * sizeof(T));
      continue;
    }
    std::fill(sum.begin(), sum.end(), Sum(0));
    Sum* const acc = sum.data();
    for (int64_t token = first; token >= 0; token = next[static_cast<size_t>(token)]) {
      const Sum weight =
          static_cast<Sum>(size != nullptr ? size[token] : 1.0F) / static_cast<Sum>(out_size[to]);
      const T* const from = x + token * channels;
      for (int64_t c = 0; c < channels; ++c) acc[c] += weight * static_cast<Sum>(from[c]);
    }
    for (int64_t c = 0; c < channels; ++c) row[c] = static_cast<T>(acc[c]);
  }
}

template <class T, class Sum>
void merge_backward(const T* grad_out, const float* size, const float* out_size,
                    const int64_t* target, int64_t tokens, int64_t channels, T* grad_x) {
  for (int64_t token = 0; token < tokens; ++token) {
    T* const row = grad_x + token * channels;
    const int64_t to = target[token];
    const float own = size != nullptr ? size[token] : 1.0F;
    if (to < 0 || own <= 0) {
      std::fill_n(row, channels, T(0));
      continue;
    }
    const T* const from = grad_out + to * channels;
    if (own == out_size[to]) {
      std::memcpy(static_cast<void*>(row), from, static_cast<size_t>(channels) * sizeof(T));
      continue;
    }
    const Sum weight = static_cast<Sum>(own) / static_cast<Sum>(out_size[to]);
    for (int64_t c = 0; c < channels; ++c)
      row[c] = static_cast<T>(weight * static_cast<Sum>(from[c]));
  }
}

}  // namespace xp::ops
