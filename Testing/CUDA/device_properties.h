/* Seven GPUs as cuDNN describes a device, one for each architecture that is built for, so that
 * plans can be made without any of them.
 *
 * Limits per multiprocessor and block are those of the table "Technical Specifications per Compute
 * Capability" in NVIDIA's CUDA C++ Programming Guide (13.0); multiprocessors, memory, clocks and L2
 * are those of NVIDIA's data sheets and architecture white papers (Turing, Ampere GA100 and GA102,
 * Ada, Hopper, Blackwell, RTX Blackwell). None was read from a device: what lies on a boundary
 * needs the card itself. */
#ifndef VERDIFF_DEVICE_PROPERTIES_H
#define VERDIFF_DEVICE_PROPERTIES_H

#include <stdint.h>
#include <stdio.h>

typedef struct device_properties {
    const char *name;
    int32_t capability, multiprocessors;
    int32_t shared_optin, shared_reserved; /* bytes of a block */
    int32_t blocks, threads;               /* of a multiprocessor */
    int64_t memory_bytes;
    int32_t clock_khz, memory_clock_khz;
    int32_t l2_bytes;
} device_properties;

static const device_properties device_table[] = {
    { "T4", 75, 40, 65536, 0, 16, 1024, 15828320256, 1590000, 5001000, 4194304 },
    { "A100", 80, 108, 166912, 1024, 32, 2048, 85094825984, 1410000, 1593000, 41943040 },
    { "RTX 3090", 86, 82, 101376, 1024, 16, 1536, 25438126080, 1695000, 9751000, 6291456 },
    { "L40", 89, 142, 101376, 1024, 24, 1536, 47810936832, 2490000, 9001000, 100663296 },
    { "H200", 90, 132, 232448, 1024, 32, 2048, 150109880320, 1980000, 3201000, 62914560 },
    { "B200", 100, 148, 232448, 1024, 32, 2048, 191514214400, 1965000, 3996000, 132644864 },
    { "RTX 5090", 120, 170, 101376, 1024, 24, 1536, 33670758400, 2407000, 14001000, 100663296 },
};
enum { DEVICES = sizeof device_table / sizeof device_table[0], DEVICE_JSON_BYTES = 2048 };

/* What cudnnGetVersion's CUDA 13 needs of a driver. */
enum { DEVICE_DRIVER = 13000, DEVICE_REGISTERS = 65536, DEVICE_SHARED = 49152 };

static inline void device_json(char out[DEVICE_JSON_BYTES], const device_properties *d)
{
    (void)snprintf(
        out, DEVICE_JSON_BYTES,
        "{\"deviceName\":\"%s\",\"deviceVer\":%d,\"driverVer\":%d,\"cudaDeviceId\":0,"
        "\"pciDeviceId\":0,\"isTccDriver\":0,\"supportCoopLaunch\":1,\"multiProcessorCount\":%d,"
        "\"warpSize\":32,\"maxSharedMemoryPerBlock\":%d,\"maxSharedMemoryPerBlockOptin\":%d,"
        "\"reservedSharedMemoryPerBlock\":%d,\"maxRegistersPerSM\":%d,\"regsPerBlock\":%d,"
        "\"maxCtasPerSM\":%d,\"maxThreadsPerSM\":%d,\"maxThreadsPerBlock\":1024,"
        "\"maxBlockSize\":[1024,1024,64],\"maxGridSize\":[2147483647,65535,65535],"
        "\"totalGlobalMem\":%lld,\"smClockRateKHz\":%d,\"memClockRateKHz\":%d,\"l2CacheSize\":%d}",
        d->name, d->capability * 10, (int)DEVICE_DRIVER, d->multiprocessors, (int)DEVICE_SHARED,
        d->shared_optin, d->shared_reserved, (int)DEVICE_REGISTERS, (int)DEVICE_REGISTERS,
        d->blocks, d->threads, (long long)d->memory_bytes, d->clock_khz, d->memory_clock_khz,
        d->l2_bytes);
}

#endif
