// A clock that is set: the wall clock of a program that is started with LD_PRELOAD of this is CLOCK_SHIFT_S seconds off.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *now) {
  static int (*next)(clockid_t, struct timespec *);
  if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "clock_gettime");
  const int result = next(id, now);
  const char *shift = getenv("CLOCK_SHIFT_S");
  if (result == 0 && id == CLOCK_REALTIME && shift != NULL) now->tv_sec += atol(shift);
  return result;
}
