#include "harness/machine.h"

#include <ctype.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "harness/cgroup.h"

/* ---- the list ---- */

/* Cuts at a character, not inside one: the value ends up in JSON. */
static void copy_text(char *to, size_t size, const char *from)
{
    size_t length = strnlen(from, size);
    if (length == size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)from[length] & 0xC0) == 0x80)
            length--;
    }
    memcpy(to, from, length);
    to[length] = '\0';
}

void mv_environment_set(mv_environment *environment, const char *key, const char *value)
{
    size_t i = 0;
    if (value[0] == '\0')
        return;
    char cut_key[sizeof environment->facts[0].key];
    copy_text(cut_key, sizeof cut_key, key);
    while (i < environment->n_facts && strcmp(environment->facts[i].key, cut_key) != 0)
        i++;
    if (i == sizeof environment->facts / sizeof environment->facts[0])
        return;
    if (i == environment->n_facts)
        environment->n_facts++;
    mv_fact *fact = &environment->facts[i];
    memcpy(fact->key, cut_key, sizeof cut_key);
    copy_text(fact->value, sizeof fact->value, value);
}

const char *mv_environment_get(const mv_environment *environment, const char *key)
{
    for (size_t i = 0; i < environment->n_facts; i++)
        if (strcmp(environment->facts[i].key, key) == 0)
            return environment->facts[i].value;
    return NULL;
}

static void set_number(mv_environment *environment, const char *key, uint64_t number)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    mv_environment_set(environment, key, text);
}

/* ---- files of the kernel ---- */

static bool read_line(const char *path, char *line, size_t size)
{
    FILE *stream = fopen(path, "re");
    if (stream == NULL)
        return false;
    bool read = fgets(line, (int)size, stream) != NULL;
    (void)fclose(stream);
    if (read)
        line[strcspn(line, "\n")] = '\0';
    return read && line[0] != '\0';
}

/* The value of the first "KEY<separator>VALUE" line, without spaces around it. */
static bool read_value(const char *path, const char *key, char separator, char *value, size_t size)
{
    char line[8192]; /* the flags of a CPU are one line of two thousand characters */
    bool found = false;
    FILE *stream = fopen(path, "re");
    while (stream != NULL && !found && fgets(line, sizeof line, stream) != NULL) {
        char *at = strchr(line, separator);
        if (at == NULL)
            continue;
        char *key_end = at;
        while (key_end > line && isspace((unsigned char)key_end[-1]))
            key_end--;
        if ((size_t)(key_end - line) != strlen(key) || memcmp(line, key, strlen(key)) != 0)
            continue;
        at++;
        at += strspn(at, " \t");
        at[strcspn(at, "\n")] = '\0';
        copy_text(value, size, at);
        found = value[0] != '\0';
    }
    if (stream != NULL)
        (void)fclose(stream);
    return found;
}

static uint64_t read_kibibytes(const char *path, const char *key)
{
    char value[64];
    return read_value(path, key, ':', value, sizeof value) ? strtoull(value, NULL, 10) * 1024 : 0;
}

static void set_line(mv_environment *environment, const char *key, const char *path)
{
    char line[208];
    if (read_line(path, line, sizeof line))
        mv_environment_set(environment, key, line);
}

/* ---- questions ---- */

static long n_online(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n >= 1 ? n : 1;
}

int mv_machine_n_cores(void)
{
    cpu_set_t set;
    mv_cgroup cgroup;
    /* Fails with more than 1024 processors; then all that are online. */
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)n_online();
    mv_cgroup_read(&cgroup, "");
    if (cgroup.cpus > 0 && ceil(cgroup.cpus) < n)
        n = (int)ceil(cgroup.cpus);
    return n >= 1 ? n : 1;
}

uint64_t mv_machine_memory_available_bytes(void)
{
    mv_cgroup cgroup;
    uint64_t available = read_kibibytes("/proc/meminfo", "MemAvailable");
    mv_cgroup_read(&cgroup, "");
    return cgroup.memory_available_bytes < available ? cgroup.memory_available_bytes : available;
}

uint64_t mv_machine_peak_rss_bytes(void)
{
    /* Not ru_maxrss first: it starts with the peak of whoever called exec(). */
    uint64_t peak = read_kibibytes("/proc/self/status", "VmHWM");
    struct rusage usage;
    if (peak == 0 && getrusage(RUSAGE_SELF, &usage) == 0)
        peak = (uint64_t)usage.ru_maxrss * 1024;
    return peak;
}

/* ---- facts ---- */

static void collect_date(mv_environment *environment)
{
    /* https://reproducible-builds.org/specs/source-date-epoch/ */
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char *end = NULL;
    char text[40];
    struct tm utc;
    time_t now = time(NULL);
    if (epoch != NULL && *epoch >= '0' && *epoch <= '9') {
        errno = 0;
        long long given = strtoll(epoch, &end, 10);
        if (*end == '\0' && errno == 0)
            now = (time_t)given;
    }
    if (gmtime_r(&now, &utc) != NULL && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) > 0)
        mv_environment_set(environment, "date_utc", text);
}

static void collect_system(mv_environment *environment)
{
    struct utsname name; /* without nodename: whose machine it is, is nobody's business */
    char text[208];
    if (read_value("/etc/os-release", "PRETTY_NAME", '=', text, sizeof text)) {
        size_t length = strlen(text);
        bool quoted = length >= 2 && text[0] == '"' && text[length - 1] == '"';
        text[length - (quoted ? 1 : 0)] = '\0';
        mv_environment_set(environment, "os", text + (quoted ? 1 : 0));
    }
    if (uname(&name) == 0) {
        (void)snprintf(text, sizeof text, "%.60s %.60s %.60s", name.sysname, name.release,
                       name.machine);
        mv_environment_set(environment, "kernel", text);
    }
    (void)snprintf(text, sizeof text, "glibc %s", gnu_get_libc_version());
    mv_environment_set(environment, "libc", text);
}

/* Those that decide how fast, or in what order, a product is summed. x86 lists them as flags, Arm
 * as Features. */
static void collect_isa(mv_environment *environment)
{
    static const char *const wanted[] = {
        "sse4_2",   "avx",      "avx2",        "fma",         "f16c",     "avx512f",
        "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx_vnni", "avx512_fp16",
        "amx_tile", "amx_bf16", "amx_int8",    "asimd",       "asimdhp",  "asimddp",
        "bf16",     "i8mm",     "sve",         "sve2",
    };
    char flags[8192], isa[208] = "";
    size_t used = 0;
    if (!read_value("/proc/cpuinfo", "flags", ':', flags, sizeof flags) &&
        !read_value("/proc/cpuinfo", "Features", ':', flags, sizeof flags))
        return;
    for (char *rest = flags, *flag; (flag = strsep(&rest, " ")) != NULL;)
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
            if (strcmp(flag, wanted[i]) == 0 && used + strlen(flag) + 2 <= sizeof isa)
                used += (size_t)snprintf(isa + used, sizeof isa - used, "%s%s", used > 0 ? " " : "",
                                         flag);
    if (used > 0)
        mv_environment_set(environment, "isa", isa);
}

static void collect_hypervisor(mv_environment *environment)
{
#if defined(__x86_64__) || defined(__i386__)
    unsigned eax = 0, vendor[3] = {0}, ecx = 0;
    char text[sizeof vendor + 1] = "";
    if (__get_cpuid(1, &eax, &vendor[0], &ecx, &vendor[1]) == 0 || (ecx >> 31 & 1u) == 0)
        return;
    __cpuid(0x40000000, eax, vendor[0], vendor[1], vendor[2]);
    memcpy(text, vendor, sizeof vendor);
    for (size_t i = 0; i < sizeof vendor; i++)
        if (text[i] != '\0' && !isprint((unsigned char)text[i]))
            text[i] = '?';
    mv_environment_set(environment, "hypervisor", text[0] != '\0' ? text : "unnamed");
#else
    set_line(environment, "hypervisor", "/sys/hypervisor/type");
#endif
}

static void collect_cpu(mv_environment *environment)
{
    char text[208];
    if (read_value("/proc/cpuinfo", "model name", ':', text, sizeof text))
        mv_environment_set(environment, "cpu_model", text);
    set_number(environment, "cores", (uint64_t)mv_machine_n_cores());
    set_number(environment, "threads_online", (uint64_t)n_online());
    collect_isa(environment);
    set_line(environment, "smt_active", "/sys/devices/system/cpu/smt/active");
    set_line(environment, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    set_line(environment, "turbo_off", "/sys/devices/system/cpu/intel_pstate/no_turbo");
    set_line(environment, "boost", "/sys/devices/system/cpu/cpufreq/boost");
    set_line(environment, "numa_nodes", "/sys/devices/system/node/online");
    collect_hypervisor(environment);
    double load[3];
    if (getloadavg(load, 3) == 3) {
        (void)snprintf(text, sizeof text, "%.2f %.2f %.2f", load[0], load[1], load[2]);
        mv_environment_set(environment, "load_average", text);
    }
}

static void collect_memory(mv_environment *environment)
{
    char text[208];
    mv_cgroup cgroup;
    uint64_t memory_bytes = read_kibibytes("/proc/meminfo", "MemTotal");
    if (memory_bytes > 0)
        set_number(environment, "memory_bytes", memory_bytes);
    /* "always [madvise] never" */
    if (read_line("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof text)) {
        char *begin = strchr(text, '[');
        char *end = begin != NULL ? strchr(begin, ']') : NULL;
        if (end != NULL) {
            *end = '\0';
            mv_environment_set(environment, "transparent_hugepage", begin + 1);
        }
    }
    mv_cgroup_read(&cgroup, "");
    if (cgroup.cpus > 0) {
        (void)snprintf(text, sizeof text, "%.2f", cgroup.cpus);
        mv_environment_set(environment, "cgroup_cpus", text);
    }
    if (cgroup.memory_bytes != UINT64_MAX)
        set_number(environment, "cgroup_memory_bytes", cgroup.memory_bytes);
}

/* How this program was built. A number from a build with sanitizers is no number. */
static void collect_build(mv_environment *environment)
{
#if defined(__clang__)
    mv_environment_set(environment, "compiler", "clang " __clang_version__);
#elif defined(__GNUC__)
    mv_environment_set(environment, "compiler", "gcc " __VERSION__);
#endif
    mv_environment_set(environment, "compiler_flags",
#if defined(__FAST_MATH__)
                       "-ffast-math "
#endif
#if defined(NDEBUG)
                       "-DNDEBUG "
#endif
#if defined(__AVX2__)
                       "-mavx2 "
#endif
#if defined(__OPTIMIZE__)
                       "-O"
#else
                       "-O0"
#endif
    );
#if defined(MV_BUILD_TYPE)
    mv_environment_set(environment, "build_type", MV_BUILD_TYPE);
#endif
#if defined(MV_BUILD_SANITIZE)
    mv_environment_set(environment, "sanitizers", MV_BUILD_SANITIZE);
#elif defined(__SANITIZE_ADDRESS__)
    mv_environment_set(environment, "sanitizers", "address");
#elif defined(__SANITIZE_THREAD__)
    mv_environment_set(environment, "sanitizers", "thread");
#endif
#if defined(MV_COMMIT)
    mv_environment_set(environment, "commit", MV_COMMIT);
#endif
}

void mv_environment_collect(mv_environment *environment)
{
    memset(environment, 0, sizeof *environment);
    collect_date(environment);
    collect_system(environment);
    collect_cpu(environment);
    collect_memory(environment);
    collect_build(environment);
}
