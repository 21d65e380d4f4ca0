/* A libnvidia-ml.so.1 for tests: two GPUs whose behaviour the environment of the process decides, read at every call.
 *
 * FAKE_NVML_INIT=code          nvmlInit fails with it
 * FAKE_NVML_SYSTEM=code        questions about the system fail with it (a driver that was unloaded)
 * FAKE_NVML_COUNT=n            GPUs that are listed (default 2); FAKE_NVML_FIRST=i: the first of them (default 0)
 * FAKE_NVML_LOST=i             GPU i falls off the bus, and stays lost until NVML is started again without this
 * FAKE_NVML_FIGURES=code       every figure fails with it;  FAKE_NVML_FIGURES_OF=i: of GPU i only
 * FAKE_NVML_THROTTLE=bits      of GPU 1
 *
 * FAKE_NVML_FILE=path          the file's lines NAME=number go before the environment's FAKE_NVML_NAME, so that the GPUs
 *                              of a running process can change (replace the file by renaming another). With it, the
 *                              GPUs work: their utilization rises and falls once a minute, GPU 1 when GPU 0 rests;
 *                              memory, power, temperature, fan, clocks and throttling follow it, and energy grows by
 *                              the power. Lines can hold a figure still: UTILIZATION0=percent, TEMPERATURE0=Celsius,
 *                              POWER0=milliwatts, MEMORY0=used bytes, THROTTLE0=bits, and the same of GPU 1.
 *
 * Compiled with -DOLD_DRIVER it lacks what came with drivers 510 and 535, with -DNEW_DRIVER what those replaced.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct gpu { int number; int lost; } *nvmlDevice_t;
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned version, sensor; int temperature; } temperature_t;

enum { UNINITIALIZED = 1, INVALID_ARGUMENT = 2, GPU_IS_LOST = 15, VERSION_MISMATCH = 25 };

static struct gpu gpus[2] = {{0, 0}, {1, 0}};
static int running, starts;

static const char *file_name(void) {
    const char *path = getenv("FAKE_NVML_FILE");
    return path && *path ? path : NULL;
}

static int in_file(const char *name, long long *value) {
    FILE *file = file_name() ? fopen(file_name(), "r") : NULL;
    size_t length = strlen(name);
    char line[256];
    int found = 0;
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, name, length) || line[length] != '=') continue;
        *value = strtoll(line + length + 1, NULL, 0);
        found = 1;
    }
    if (file) fclose(file);
    return found;
}

static long long setting(const char *name, long long otherwise) {
    char variable[64];
    long long value;
    const char *text;
    if (in_file(name, &value)) return value;
    snprintf(variable, sizeof variable, "FAKE_NVML_%s", name);
    text = getenv(variable);
    return text && *text ? atoll(text) : otherwise;
}

/* The figures of GPUs that work. */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static long long held(const char *name, int n, long long otherwise) {
    char numbered[32];
    long long value;
    snprintf(numbered, sizeof numbered, "%s%d", name, n);
    return in_file(numbered, &value) ? value : otherwise;
}

static long long utilization(int n) {
    long long second = ((long long)now() + 30 * n) % 60;
    return held("UTILIZATION", n, 8 + 3 * (second < 30 ? second : 60 - second));
}

static long long total_memory(int n) { return n ? 24152899584LL : 150754820096LL; }

static long long used_memory(int n) {
    return held("MEMORY", n, total_memory(n) / 1000 * (600 + utilization(n)));
}

static long long power_limit(int n) { return n ? 72000 : 700000; }

static long long power(int n) {
    long long idle = n ? 16500 : 76000;
    return held("POWER", n, idle + (power_limit(n) - idle) * utilization(n) / 100);
}

static long long temperature(int n) { return held("TEMPERATURE", n, 34 + utilization(n) * 2 / 5); }

static long long fan(int n) { return temperature(n) < 100 ? temperature(n) : 100; }

static long long throttling(int n) {
    return held("THROTTLE", n, temperature(n) >= 90 ? 0x20 : utilization(n) >= 80 ? 0x4 : utilization(n) < 10 ? 0x1 : 0);
}

static long long clock_of(int n, int type) {
    if (type == 2) return n ? 6251 : 3201;
    return type == 0 ? 345 + (temperature(n) >= 90 ? 600 : 16 * utilization(n)) : 7;
}

static int system_state(void) { return running ? (int)setting("SYSTEM", 0) : UNINITIALIZED; }

static int gpu_state(nvmlDevice_t device) {
    if (!running) return UNINITIALIZED;
    if (setting("LOST", -1) == device->number) device->lost = 1;
    return device->lost ? GPU_IS_LOST : 0;
}

static int figure_state(nvmlDevice_t device) {
    int state = gpu_state(device), only = (int)setting("FIGURES_OF", device->number);
    return state ? state : only == device->number ? (int)setting("FIGURES", 0) : 0;
}

#define FIGURE(function, type, working, resting) \
    int function(nvmlDevice_t device, type *value) { \
        int state = figure_state(device), n = device->number; \
        if (!state) *value = (type)(file_name() ? (working) : (resting)); \
        return state; \
    }

int fake_nvml_starts(void) { return starts; }

int nvmlInitWithFlags(unsigned flags) {
    int state = (int)setting("INIT", 0);
    (void)flags;
    starts++;
    if (state) return state;
    running = 1;
    for (int i = 0; i < 2; i++) gpus[i].lost = setting("LOST", -1) == i;
    return 0;
}

int nvmlShutdown(void) {
    if (!running) return UNINITIALIZED;
    running = 0;
    return 0;
}

int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    int state = system_state();
    if (!state) snprintf(text, size, "570.86.15");
    return state;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    int state = system_state();
    if (!state) *count = (unsigned)setting("COUNT", 2);
    return state;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device) {
    int state = system_state();
    if (!state) *device = &gpus[setting("FIRST", 0) + index];
    return state;
}

int nvmlDeviceGetUUID(nvmlDevice_t device, char *text, unsigned size) {
    int state = gpu_state(device);
    if (!state) snprintf(text, size, "GPU-0000000%d-aaaa-bbbb-cccc-dddddddddddd", device->number);
    return state;
}

int nvmlDeviceGetName(nvmlDevice_t device, char *text, unsigned size) {
    int state = gpu_state(device);
    if (!state) snprintf(text, size, device->number ? "NVIDIA L4" : "NVIDIA H200");
    return state;
}

int nvmlDeviceGetUtilizationRates(nvmlDevice_t device, utilization_t *value) {
    int state = figure_state(device);
    unsigned busy = file_name() ? (unsigned)utilization(device->number) : device->number ? 0 : 87;
    if (!state) *value = (utilization_t){busy, busy * 48 / 100};
    return state;
}

int nvmlDeviceGetMemoryInfo(nvmlDevice_t device, memory_t *value) {
    int state = figure_state(device);
    unsigned long long total = (unsigned long long)total_memory(device->number);
    unsigned long long used = (unsigned long long)used_memory(device->number);
    if (!state) *value = (memory_t){24000000000ULL, 9000000000ULL, 15000000000ULL};
    if (!state && file_name()) *value = (memory_t){total, total - used, used};
    return state;
}

int nvmlDeviceGetClockInfo(nvmlDevice_t device, int type, unsigned *value) {
    int state = figure_state(device);
    if (!state) *value = type == 0 ? 1980 : type == 2 ? 3201 : 7;
    if (!state && file_name()) *value = (unsigned)clock_of(device->number, type);
    return state;
}

FIGURE(nvmlDeviceGetPowerUsage, unsigned, power(n), n ? 16500 : 612345)
FIGURE(nvmlDeviceGetEnforcedPowerLimit, unsigned, power_limit(n), power_limit(n))
FIGURE(nvmlDeviceGetFanSpeed, unsigned, fan(n), n ? 0 : 35)

#ifndef NEW_DRIVER
int nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned *value) {
    int state = sensor == 0 ? figure_state(device) : INVALID_ARGUMENT;
    if (!state) *value = file_name() ? (unsigned)temperature(device->number) : device->number ? 38 : 64;
    return state;
}
FIGURE(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, throttling(n), n ? setting("THROTTLE", 0) : 0x4)
#endif

#ifndef OLD_DRIVER
int nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, memory_v2_t *value) {
    int state = value->version == 0x02000028 ? figure_state(device) : VERSION_MISMATCH;
    unsigned long long total = (unsigned long long)total_memory(device->number);
    unsigned long long used = (unsigned long long)used_memory(device->number), kept = 600000000ULL;
    if (state) return state;
    *value = (memory_v2_t){value->version, 24000000000ULL, kept, 9000000000ULL, 14400000000ULL};
    if (file_name()) *value = (memory_v2_t){value->version, total, kept, total - used - kept, used};
    return state;
}
int nvmlDeviceGetTemperatureV(nvmlDevice_t device, temperature_t *value) {
    int state = figure_state(device);
    if (!state) value->temperature = file_name() ? (int)temperature(device->number) : device->number ? 39 : 65;
    return state;
}

/* In millijoules, as far as somebody asked: the power that is drawn now is taken to have been drawn since. */
static long long energy(int n) {
    static double drawn[2] = {123456789.0, 23456789.0}, asked[2];
    double time = now();
    if (asked[n] > 0) drawn[n] += (double)power(n) * (time - asked[n]);
    asked[n] = time;
    return (long long)drawn[n];
}

FIGURE(nvmlDeviceGetTotalEnergyConsumption, unsigned long long, energy(n), n ? 0 : 123456789)
FIGURE(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, throttling(n), n ? setting("THROTTLE", 0) : 0x20)
#endif
