/* A libnvidia-ml.so.1 for tests: two GPUs whose behaviour the environment of the process decides, read at every call.
 *
 * FAKE_NVML_INIT=code          nvmlInit fails with it
 * FAKE_NVML_SYSTEM=code        questions about the system fail with it (a driver that was unloaded)
 * FAKE_NVML_COUNT=n            GPUs that are listed (default 2); FAKE_NVML_FIRST=i: the first of them (default 0)
 * FAKE_NVML_LOST=i             GPU i falls off the bus, and stays lost until NVML is started again without this
 * FAKE_NVML_FIGURES=code       every figure fails with it;  FAKE_NVML_FIGURES_OF=i: of GPU i only
 * FAKE_NVML_THROTTLE=bits      of GPU 1
 *
 * Compiled with -DOLD_DRIVER it lacks what came with drivers 510 and 535, with -DNEW_DRIVER what those replaced.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct gpu { int number; int lost; } *nvmlDevice_t;
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned version, sensor; int temperature; } temperature_t;

enum { UNINITIALIZED = 1, INVALID_ARGUMENT = 2, GPU_IS_LOST = 15, VERSION_MISMATCH = 25 };

static struct gpu gpus[2] = {{0, 0}, {1, 0}};
static int running, starts;

static int setting(const char *name, int otherwise) {
    const char *value = getenv(name);
    return value && *value ? atoi(value) : otherwise;
}

static int system_state(void) { return running ? setting("FAKE_NVML_SYSTEM", 0) : UNINITIALIZED; }

static int gpu_state(nvmlDevice_t device) {
    if (!running) return UNINITIALIZED;
    if (setting("FAKE_NVML_LOST", -1) == device->number) device->lost = 1;
    return device->lost ? GPU_IS_LOST : 0;
}

static int figure_state(nvmlDevice_t device) {
    int state = gpu_state(device), only = setting("FAKE_NVML_FIGURES_OF", device->number);
    return state ? state : only == device->number ? setting("FAKE_NVML_FIGURES", 0) : 0;
}

#define FIGURE(function, type, expression) \
    int function(nvmlDevice_t device, type *value) { \
        int state = figure_state(device), n = device->number; \
        if (!state) *value = (type)(expression); \
        (void)n; \
        return state; \
    }

int fake_nvml_starts(void) { return starts; }

int nvmlInitWithFlags(unsigned flags) {
    int state = setting("FAKE_NVML_INIT", 0);
    (void)flags;
    starts++;
    if (state) return state;
    running = 1;
    for (int i = 0; i < 2; i++) gpus[i].lost = setting("FAKE_NVML_LOST", -1) == i;
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
    if (!state) *count = (unsigned)setting("FAKE_NVML_COUNT", 2);
    return state;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device) {
    int state = system_state();
    if (!state) *device = &gpus[setting("FAKE_NVML_FIRST", 0) + index];
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
    if (!state) *value = (utilization_t){device->number ? 0 : 87, device->number ? 0 : 41};
    return state;
}

int nvmlDeviceGetMemoryInfo(nvmlDevice_t device, memory_t *value) {
    int state = figure_state(device);
    if (!state) *value = (memory_t){24000000000ULL, 9000000000ULL, 15000000000ULL};
    return state;
}

int nvmlDeviceGetClockInfo(nvmlDevice_t device, int type, unsigned *value) {
    int state = figure_state(device);
    if (!state) *value = type == 0 ? 1980 : type == 2 ? 3201 : 7;
    return state;
}

FIGURE(nvmlDeviceGetPowerUsage, unsigned, n ? 16500 : 612345)
FIGURE(nvmlDeviceGetEnforcedPowerLimit, unsigned, n ? 72000 : 700000)
FIGURE(nvmlDeviceGetFanSpeed, unsigned, n ? 0 : 35)

#ifndef NEW_DRIVER
int nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned *value) {
    int state = sensor == 0 ? figure_state(device) : INVALID_ARGUMENT;
    if (!state) *value = device->number ? 38 : 64;
    return state;
}
FIGURE(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, n ? setting("FAKE_NVML_THROTTLE", 0) : 0x4)
#endif

#ifndef OLD_DRIVER
int nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, memory_v2_t *value) {
    int state = value->version == 0x02000028 ? figure_state(device) : VERSION_MISMATCH;
    if (!state) *value = (memory_v2_t){value->version, 24000000000ULL, 600000000ULL, 9000000000ULL, 14400000000ULL};
    return state;
}
int nvmlDeviceGetTemperatureV(nvmlDevice_t device, temperature_t *value) {
    int state = figure_state(device);
    if (!state) value->temperature = device->number ? 39 : 65;
    return state;
}
FIGURE(nvmlDeviceGetTotalEnergyConsumption, unsigned long long, n ? 0 : 123456789ULL)
FIGURE(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, n ? setting("FAKE_NVML_THROTTLE", 0) : 0x20)
#endif
