// An NVIDIA driver's library as the tests want it: how many GPUs it shows, what it knows of CUDA
// and whether it starts stand in the environment.
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

int number(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? 0 : std::atoi(text);
}

}  // namespace

extern "C" {

int cuInit(unsigned) { return number("FAKE_CUDA_FAULT"); }

int cuDriverGetVersion(int* out) {
  *out = number("FAKE_CUDA_VERSION");
  return 0;
}

int cuDeviceGetCount(int* out) {
  *out = number("FAKE_CUDA_GPUS");
  return 0;
}

int cuDeviceGetUuid_v2(unsigned char* out, int device) {
  for (int i = 0; i < 16; ++i) out[i] = static_cast<unsigned char>(16 * device + i);
  return 0;
}

int cuDeviceGetName(char* out, int length, int device) {
  const std::string name = device == 1 ? "NVIDIA A100 MIG 1g.5gb" : "NVIDIA H200";
  std::strncpy(out, name.c_str(), static_cast<size_t>(length));
  return 0;
}

int cuDeviceGetAttribute(int* out, int attribute, int) {
  *out = attribute == 75 ? 9 : 0;
  return 0;
}
}
