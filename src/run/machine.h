/*
 * machine.h - what this process may use: cores and memory, as its cgroup says.
 */
#ifndef MR_RUN_MACHINE_H
#define MR_RUN_MACHINE_H

#include <stdint.h>

/* CPUs of the affinity mask, at most the cgroup's quota rounded up; at least 1. */
int mr_machine_cores(void);
/* Bytes: the smallest of physical memory and the cgroup's limit (v2 memory.max, v1 limit_in_bytes), of all ancestors visible. */
int64_t mr_machine_memory(void);
/* Largest resident set of this process so far, bytes. */
int64_t mr_machine_peak_rss(void);

#endif
