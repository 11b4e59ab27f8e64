/* A libnvidia-ml.so.1 without a GPU: what it says stands in a memory-mapped file that a test writes.
 *
 * Only the functions that the auditor and CodeCarbon call. Without the file named by FAKE_NVML every call answers
 * that the driver is not loaded, so a process that has this library loaded is not disturbed by it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, NOT_LOADED = 9 };
enum { GPUS = 8, USERS = 16 };

typedef struct { uint32_t pid, sm; uint64_t time_us; } User;

/* The same layout as _Gpu in nvml.py. */
typedef struct {
  char uuid[80];
  uint32_t power_mw, limit_mw, has_counter, runs, mig, failure, tells_users, users;
  uint64_t edition; /* odd while the energy is being changed */
  uint64_t energy_mj, since_ns;
  User user[USERS];
} Gpu;

typedef struct { uint32_t count, reserved; Gpu gpu[GPUS]; } State;

typedef struct { unsigned int pid; unsigned long long timeStamp; unsigned int sm, mem, enc, dec; } Sample;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned int gpu, memory; } Utilization;

static State *state(void) {
  static State *mapped;
  const char *path = getenv("FAKE_NVML");
  if (path == NULL || access(path, R_OK) != 0) return NULL;
  if (mapped == NULL) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) return NULL;
    void *at = mmap(NULL, sizeof(State), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) return NULL;
    mapped = at;
  }
  return mapped;
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Handles are pointers into the state. */
static int check(const Gpu *gpu) {
  if (state() == NULL) return NOT_LOADED;
  return gpu->failure ? (int)gpu->failure : OK;
}

static int text(char *to, unsigned int length, const char *from) {
  if (strlen(from) >= length) return TOO_SMALL;
  strcpy(to, from);
  return OK;
}

int nvmlInit_v2(void) { return state() == NULL ? NOT_LOADED : OK; }
int nvmlInitWithFlags(unsigned int flags) { (void)flags; return nvmlInit_v2(); }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { return code == NOT_LOADED ? "Driver Not Loaded" : "fake error"; }

int nvmlDeviceGetCount_v2(unsigned int *count) {
  if (state() == NULL) return NOT_LOADED;
  *count = state()->count;
  return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, Gpu **gpu) {
  if (state() == NULL) return NOT_LOADED;
  if (index >= state()->count) return INVALID;
  *gpu = &state()->gpu[index];
  return OK;
}

int nvmlDeviceGetUUID(Gpu *gpu, char *uuid, unsigned int length) {
  return state() == NULL ? NOT_LOADED : text(uuid, length, gpu->uuid);
}

int nvmlDeviceGetName(Gpu *gpu, char *name, unsigned int length) {
  (void)gpu;
  return text(name, length, "Fake GPU");
}

int nvmlDeviceGetPowerUsage(Gpu *gpu, unsigned int *power_mw) {
  int code = check(gpu);
  if (code == OK) *power_mw = gpu->power_mw;
  return code;
}

int nvmlDeviceGetTotalEnergyConsumption(Gpu *gpu, unsigned long long *energy_mj) {
  int code = check(gpu);
  if (code != OK) return code;
  if (!gpu->has_counter) return NOT_SUPPORTED;
  for (;;) {
    uint64_t edition = __atomic_load_n(&gpu->edition, __ATOMIC_SEQ_CST);
    uint64_t passed_ns = gpu->runs ? now_ns() - gpu->since_ns : 0;
    *energy_mj = gpu->energy_mj + (uint64_t)((double)passed_ns * gpu->power_mw / 1e9);
    if (edition % 2 == 0 && edition == __atomic_load_n(&gpu->edition, __ATOMIC_SEQ_CST)) return OK;
  }
}

int nvmlDeviceGetEnforcedPowerLimit(Gpu *gpu, unsigned int *limit_mw) {
  int code = check(gpu);
  if (code == OK) *limit_mw = gpu->limit_mw;
  return code;
}

int nvmlDeviceGetMigMode(Gpu *gpu, unsigned int *current, unsigned int *pending) {
  int code = check(gpu);
  if (code == OK) *current = *pending = gpu->mig;
  return code;
}

int nvmlDeviceGetProcessUtilization(Gpu *gpu, Sample *samples, unsigned int *count, unsigned long long after_us) {
  int code = check(gpu);
  if (code != OK) return code;
  if (!gpu->tells_users) return NOT_SUPPORTED;
  unsigned int found = 0;
  for (unsigned int i = 0; i < gpu->users; i++) {
    uint64_t time_us = gpu->user[i].time_us ? gpu->user[i].time_us : now_ns() / 1000;
    if (time_us <= after_us) continue;
    if (samples != NULL && found < *count) {
      Sample sample = {gpu->user[i].pid, time_us, gpu->user[i].sm, 0, 0, 0};
      samples[found] = sample;
    }
    found++;
  }
  if (found == 0) return NOT_FOUND;
  code = samples == NULL || *count < found ? TOO_SMALL : OK;
  *count = found;
  return code;
}

int nvmlDeviceGetMemoryInfo(Gpu *gpu, Memory *memory) {
  memory->total = 16ull << 30;
  memory->used = 1ull << 30;
  memory->free = memory->total - memory->used;
  return check(gpu);
}

int nvmlDeviceGetTemperature(Gpu *gpu, int sensor, unsigned int *celsius) {
  (void)sensor;
  *celsius = 40;
  return check(gpu);
}

int nvmlDeviceGetUtilizationRates(Gpu *gpu, Utilization *rates) {
  rates->gpu = rates->memory = 0;
  return check(gpu);
}

int nvmlDeviceGetComputeMode(Gpu *gpu, int *mode) {
  *mode = 0;
  return check(gpu);
}

int nvmlDeviceGetComputeRunningProcesses_v3(Gpu *gpu, unsigned int *count, void *processes) {
  (void)processes;
  *count = 0;
  return check(gpu);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(Gpu *gpu, unsigned int *count, void *processes) {
  (void)processes;
  *count = 0;
  return check(gpu);
}
