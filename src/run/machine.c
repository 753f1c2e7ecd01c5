/*
 * machine.c - reads the limits of this process at start.
 *
 * A container that is given 512 MB sees the host's memory in sysconf; only the cgroup files tell. Both hierarchies are read, because
 * version 1 is still met.
 */
#include "run/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* First number of a file, or -1 ("max" included). */
static int64_t read_number(const char *path, int64_t *second)
{
    char text[128];
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    char *end = NULL;
    long long first = strtoll(text, &end, 10);
    if (second && end)
        *second = strtoll(strchr(text, ' ') ? strchr(text, ' ') : "0", NULL, 10);
    return end == text ? -1 : first;
}

/* The path of this process in the unified hierarchy, e.g. "/user.slice"; empty if unknown. */
static void cgroup_path(char *out, size_t capacity)
{
    char line[512];
    out[0] = '\0';
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "0::", 3) == 0) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(out, capacity, "%.*s", (int)capacity - 1, line + 3);
        }
    }
    fclose(file);
}

int mr_machine_cores(void)
{
    cpu_set_t set;
    int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int64_t period = 0;
    int64_t quota = read_number("/sys/fs/cgroup/cpu.max", &period);
    if (quota < 0) {
        quota = read_number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", NULL);
        period = read_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us", NULL);
    }
    if (quota > 0 && period > 0) {
        int allowed = (int)((quota + period - 1) / period);
        if (allowed < cores)
            cores = allowed;
    }
    return cores > 0 ? cores : 1;
}

int64_t mr_machine_memory(void)
{
    int64_t limit = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    char group[400], path[512];
    cgroup_path(group, sizeof group);
    for (;;) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
        int64_t value = read_number(path, NULL);
        if (value > 0 && value < limit)
            limit = value;
        char *slash = strrchr(group, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    int64_t v1 = read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", NULL);
    return v1 > 0 && v1 < limit ? v1 : limit;
}

/* Of /proc and not of getrusage, whose figure is inherited from the program that started us. */
int64_t mr_machine_peak_rss(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long long kilobytes = 0;
    while (file && fgets(line, sizeof line, file) &&
           sscanf(line, "VmHWM: %lld kB", &kilobytes) != 1)
        continue;
    if (file)
        fclose(file);
    return (int64_t)kilobytes * 1024;
}
