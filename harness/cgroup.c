#include "harness/cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The two versions have the same facts in files of other names. */
typedef struct hierarchy {
    const char *folder; /* where it is mounted */
    const char *limit, *usage, *reclaimable;
} hierarchy;

static const hierarchy version_2 = {"/sys/fs/cgroup", "memory.max", "memory.current",
                                    "inactive_file"};
static const hierarchy version_1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                    "memory.usage_in_bytes", "total_inactive_file"};

/* Version 1 writes "no limit" as the largest multiple of a page. */
#define NO_LIMIT_FROM (UINT64_C(1) << 60)

static bool read_line(const char *folder, const char *file, char *line, int size)
{
    char path[1024];
    int length = snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *stream = length > 0 && (size_t)length < sizeof path ? fopen(path, "re") : NULL;
    if (stream == NULL)
        return false;
    bool read = fgets(line, size, stream) != NULL;
    (void)fclose(stream);
    return read;
}

static bool read_number(const char *folder, const char *file, uint64_t *number)
{
    char line[64];
    char *end = line;
    if (!read_line(folder, file, line, sizeof line))
        return false;
    *number = strtoull(line, &end, 10);
    return end != line && line[0] != '-';
}

/* One "key number" line of memory.stat; 0 if it is not there. */
static uint64_t read_stat(const char *folder, const char *key)
{
    char path[1024], line[128], name[64];
    unsigned long long number = 0, found = 0;
    int length = snprintf(path, sizeof path, "%s/memory.stat", folder);
    FILE *stream = length > 0 && (size_t)length < sizeof path ? fopen(path, "re") : NULL;
    while (stream != NULL && fgets(line, sizeof line, stream) != NULL)
        if (sscanf(line, "%63s %llu", name, &number) == 2 && strcmp(name, key) == 0)
            found = number;
    if (stream != NULL)
        (void)fclose(stream);
    return found;
}

static void add_cpus(mv_cgroup *cgroup, double quota, double period)
{
    if (quota > 0 && period > 0 && (cgroup->cpus <= 0 || quota / period < cgroup->cpus))
        cgroup->cpus = quota / period;
}

static void add_memory(mv_cgroup *cgroup, const hierarchy *names, const char *folder)
{
    uint64_t limit = 0, usage = 0;
    if (!read_number(folder, names->limit, &limit) || limit >= NO_LIMIT_FROM)
        return;
    if (limit < cgroup->memory_bytes)
        cgroup->memory_bytes = limit;
    if (!read_number(folder, names->usage, &usage))
        return;
    /* A mapped checkpoint is page cache: counted as used, and yet it can go at any time. */
    uint64_t reclaimable = read_stat(folder, names->reclaimable);
    usage = usage > reclaimable ? usage - reclaimable : 0;
    uint64_t left = limit > usage ? limit - usage : 0;
    if (left < cgroup->memory_available_bytes)
        cgroup->memory_available_bytes = left;
}

static void add_level_2(mv_cgroup *cgroup, const char *folder)
{
    char line[64];
    double quota = 0, period = 0;
    add_memory(cgroup, &version_2, folder);
    if (read_line(folder, "cpu.max", line, sizeof line) &&
        sscanf(line, "%lf %lf", &quota, &period) == 2) /* "max 100000" does not match */
        add_cpus(cgroup, quota, period);
}

static void add_memory_1(mv_cgroup *cgroup, const char *folder)
{
    add_memory(cgroup, &version_1, folder);
}

static void add_cpu_1(mv_cgroup *cgroup, const char *folder)
{
    char line[64];
    uint64_t period = 0;
    if (read_line(folder, "cpu.cfs_quota_us", line, sizeof line) &&
        read_number(folder, "cpu.cfs_period_us", &period))
        add_cpus(cgroup, strtod(line, NULL), (double)period); /* -1 is no limit */
}

/* From the group up to the mount point. A container often sees its own group as the mount point,
 * under a path that only the host knows: the upper steps then find what the first do not. */
static void walk_up(mv_cgroup *cgroup, const char *root, const char *mount, const char *group,
                    void (*add_level)(mv_cgroup *cgroup, const char *folder))
{
    char folder[768];
    int length = snprintf(folder, sizeof folder, "%s%s", root, mount);
    if (length < 0 || (size_t)length >= sizeof folder)
        return;
    char *end = folder + length;
    (void)snprintf(end, sizeof folder - (size_t)length, "%s", group);
    while (true) {
        add_level(cgroup, folder);
        char *slash = strrchr(end, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

static bool has_controller(const char *controllers, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = controllers; *at != '\0';) {
        size_t n = strcspn(at, ",");
        if (n == length && strncmp(at, name, n) == 0)
            return true;
        at += n + (at[n] == ',');
    }
    return false;
}

void mv_cgroup_read(mv_cgroup *cgroup, const char *root)
{
    char path[512], line[512];
    *cgroup = (mv_cgroup){0, UINT64_MAX, UINT64_MAX};
    int length = snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *stream = length > 0 && (size_t)length < sizeof path ? fopen(path, "re") : NULL;
    if (stream == NULL)
        return;
    /* ID:CONTROLLERS:GROUP; version 2 has the one line 0::GROUP. */
    while (fgets(line, sizeof line, stream) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (group == NULL)
            continue;
        *group++ = '\0';
        controllers++;
        if (controllers[0] == '\0')
            walk_up(cgroup, root, version_2.folder, group, add_level_2);
        if (has_controller(controllers, "memory"))
            walk_up(cgroup, root, version_1.folder, group, add_memory_1);
        if (has_controller(controllers, "cpu"))
            walk_up(cgroup, root, "/sys/fs/cgroup/cpu", group, add_cpu_1);
    }
    (void)fclose(stream);
}
