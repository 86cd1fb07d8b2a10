#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

#include "core/ops/log_mel.h"

namespace xp::ops {

/// "num_mel_bins=64, window_type povey, use_energy False, frame_shift 10, ..." of the options case.
inline LogMelOptions kaldi_options_of(const std::string& text) {
  LogMelOptions options;
  options.window = Window::kHann;
  bool energy = false, htk = false;
  std::stringstream fields(text);
  for (std::string field; std::getline(fields, field, ',');) {
    field = field.substr(0, field.find(" ("));
    const size_t first = field.find_first_not_of(' ');
    const size_t cut = field.find_first_of(" =", first);
    const std::string key = field.substr(first, cut - first);
    const std::string value = cut == std::string::npos ? "" : field.substr(cut + 1);
    if (key == "num_mel_bins") {
      options.mel_bins = std::stoi(value);
    } else if (key == "window_type") {
      options.window = value == "povey"     ? Window::kPovey
                       : value == "hamming" ? Window::kHamming
                                            : Window::kHann;
    } else if (key == "hanning") {
      options.window = Window::kHann;
    } else if (key == "htk_compat") {
      htk = value == "True";
    } else if (key == "use_energy") {
      energy = value == "True";
    } else if (key == "raw_energy") {
      options.raw_energy = value == "True";
    } else if (key == "energy_floor") {
      options.energy_floor = std::stod(value);
    } else if (key == "frame_shift") {
      options.hop_samples = std::stoi(value) * 16;
    } else if (key == "snip_edges") {
      if (value == "False") options.framing = Framing::kMirrored;
    } else if (key == "use_power") {
      options.power = value.rfind("True", 0) == 0;
    } else if (key == "use_log_fbank") {
      options.log = value == "True";
    } else if (key == "low_freq") {
      options.low_hz = std::stod(value);
    } else if (key == "high_freq") {
      options.high_hz = std::stod(value);
    } else if (key != "dither") {
      throw std::runtime_error("unknown option '" + key + "' in " + text);
    }
  }
  if (energy) options.energy = htk ? EnergyColumn::kLast : EnergyColumn::kFirst;
  return options;
}

}  // namespace xp::ops
