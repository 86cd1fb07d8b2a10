#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace xp::ops {

struct Kernel;

/// Symmetric windows of W samples, n = 0..W-1, c = cos(2 pi n / (W-1)).
enum class Window {
  kHann,     ///< 0.5 - 0.5 c
  kHamming,  ///< 0.54 - 0.46 c
  kPovey,    ///< Hann to the power 0.85 (Kaldi's default)
  kRectangular
};

/// Where frame t begins and what stands beyond the ends of the signal of n samples.
enum class Framing {
  kComplete,  ///< t * hop; only frames that fit: T = 1 + (n - window) / hop, 0 when n < window
              ///< (Kaldi snip_edges)
  kMirrored,  ///< t * hop - (window/2 - hop/2); x[-1] = x[0], x[n] = x[n-1]; T = (n + hop/2) / hop
              ///< (snip_edges off)
  kCentred    ///< window centred on t * hop; x[-1] = x[1], x[n] = x[n-2]; T = 1 + n / hop
              ///< (torch.stft, center)
};

enum class Preemphasis {
  kNone,
  kFrame,  ///< in each frame: y[i] = x[i] - c x[i-1], y[0] = x[0] - c x[0] (Kaldi)
  kClip    ///< over the clip: y[i] = x[i+1] - c x[i], one sample shorter (PaSST, EfficientAT)
};

enum class EnergyColumn { kNone, kFirst, kLast };

/// Everything that distinguishes Kaldi's fbank from PaSST's and EfficientAT's AugmentMelSTFT.
struct LogMelOptions {
  double rate_hz = 16000;
  int64_t window_samples = 400;  ///< W <= fft_size
  int64_t hop_samples = 160;
  int64_t fft_size = 512;  ///< any size >= W; products of 2, 3, 4, 5 are fast
  int64_t mel_bins = 128;
  double low_hz = 20;  ///< lower edge of the first triangle
  double high_hz =
      8000;  ///< upper edge of the last one; <= 0 counts from the Nyquist frequency down
  Window window = Window::kHann;
  Framing framing = Framing::kComplete;
  bool remove_clip_mean = false;  ///< before everything else (AST)
  bool remove_frame_mean = true;  ///< of each frame, before pre-emphasis (Kaldi's DC offset)
  Preemphasis preemphasis = Preemphasis::kFrame;
  double preemphasis_factor = 0.97;
  bool power = true;  ///< |X|^2, else |X|
  bool log =
      true;  ///< natural log of max(mel, log_floor) + log_offset, else the mel energies themselves
  double log_floor = 1.1920928955078125e-07;  ///< float32 epsilon (Kaldi)
  double log_offset = 0;
  EnergyColumn energy = EnergyColumn::kNone;  ///< log of the frame's sum of squares as one more bin
  bool raw_energy = true;                     ///< before pre-emphasis and window, else after
  double energy_floor = 1.0;                  ///< of the sum of squares, 0 = epsilon only
};

/// AST (src/dataloader.py: torchaudio.compliance.kaldi.fbank, htk_compat, Hann, no energy, no
/// dither) with the mean of the clip removed first.
LogMelOptions kaldi_options();
/// PaSST and EfficientAT (models/preprocess.py AugmentMelSTFT): 32 kHz, 800 / 320 / 1024, 0 - 15000
/// Hz.
LogMelOptions augment_mel_options();

/// Kaldi's triangular filters: bin k lies at k rate / fft_size Hz, mel = 1127 ln(1 + hz / 700),
/// edges equally spaced in mel, peak 1, computed in float32 as torchaudio does. Dense [mel_bins,
/// fft_size/2]; the Nyquist bin has no weight. Throws Error when low_hz < 0, high_hz > rate/2 or
/// low_hz >= high_hz.
std::vector<float> mel_banks(const LogMelOptions& options);

/// The window of `options`, W values in float32.
std::vector<float> window_values(const LogMelOptions& options);

/// What is written of each value v: (v - mean) * scale.
struct Affine {
  float mean = 0;
  float scale = 1;
};

/// Waveforms to log-mel spectrograms on the CPU: one plan, any number of threads.
///
/// V frames are computed at a time, one in each SIMD lane, V = 16 (AVX-512), 8 (AVX2 and FMA) or 4.
/// The choice is made at run time (`instruction_set`). A frame's value depends on nothing but the
/// clip and the instruction set: not on its neighbours, the thread or the batch. AVX2 and AVX-512
/// give the same bits; the baseline differs by rounding, because it has no fused multiply-add. The
/// log is a polynomial with an error of at most 1.1 ulp over all normal floats.
class LogMel {
 public:
  /// Throws Error naming the option that is out of range.
  explicit LogMel(const LogMelOptions& options);
  ~LogMel();
  LogMel(const LogMel&) = default;  // copies share tables
  LogMel& operator=(const LogMel&) = default;

  const LogMelOptions& options() const;
  /// F = mel_bins, plus one with an energy column.
  int64_t bins() const;
  /// T of a clip of n samples; 0 when it is too short for one frame. Where a mirrored end is longer
  /// than the signal, the signal goes back and forth.
  int64_t frames(int64_t samples) const;

  /// `wave`: n samples. Writes out[f * row_stride + t] for f < bins(), t < T_out, where columns
  /// t >= frames(n) are `pad` before `affine`, and frames from T_out on are dropped.
  void run(const float* wave, int64_t samples, float* out, int64_t row_stride, int64_t frames_out,
           Affine affine = {}, float pad = 0) const;

  /// The same plan with other filter edges (training jitter); shares window and FFT tables.
  LogMel with_band(double low_hz, double high_hz) const;
  /// The same plan on another instruction set than the best one: for tests and benchmarks. Throws
  /// Error where this machine lacks it.
  LogMel on(std::string_view instruction_set) const;

 private:
  struct Plan;
  std::shared_ptr<const Plan> plan_;
  const Kernel* kernel_;
};

/// "avx512", "avx2" or "baseline": what `run` uses on this machine. EXP_CPU=baseline|avx2 lowers
/// it.
std::string_view instruction_set();

}  // namespace xp::ops
