#include "harness/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int64_t read_clock(clockid_t which)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t mv_clock_wall_ns(void)
{
    return read_clock(CLOCK_MONOTONIC_RAW);
}

/* The wall clock is read last, so that the other readings are outside of what follows. */
void mv_tick_read(mv_tick *tick)
{
    struct rusage usage = {.ru_minflt = 0};
    (void)getrusage(RUSAGE_SELF, &usage);
    tick->minor_faults = usage.ru_minflt;
    tick->major_faults = usage.ru_majflt;
    tick->involuntary_switches = usage.ru_nivcsw;
    tick->cpu_ns = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    tick->wall_ns = read_clock(CLOCK_MONOTONIC_RAW);
}

mv_lapse mv_tick_between(const mv_tick *start, const mv_tick *end)
{
    return (mv_lapse){
        .wall_ns = end->wall_ns - start->wall_ns,
        .cpu_ns = end->cpu_ns - start->cpu_ns,
        .minor_faults = end->minor_faults - start->minor_faults,
        .major_faults = end->major_faults - start->major_faults,
        .involuntary_switches = end->involuntary_switches - start->involuntary_switches,
    };
}

int64_t mv_clock_resolution_ns(void)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < 64; i++) {
        int64_t first = mv_clock_wall_ns(), next = first;
        for (int spin = 0; next == first && spin < 10000000; spin++)
            next = mv_clock_wall_ns();
        if (next > first && next - first < least)
            least = next - first;
    }
    return least;
}

bool mv_machine_load_read(mv_machine_load *load)
{
    uint64_t user, nice, system, idle, io_wait, irq, soft_irq, steal;
    const int64_t ticks_a_second = sysconf(_SC_CLK_TCK);
    FILE *stream = fopen("/proc/stat", "re");
    if (stream == NULL)
        return false;
    int n = fscanf(stream,
                   "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                   " %" SCNu64 " %" SCNu64,
                   &user, &nice, &system, &idle, &io_wait, &irq, &soft_irq, &steal);
    (void)fclose(stream);
    if (n != 8 || ticks_a_second <= 0)
        return false;
    const int64_t tick_ns = 1000000000 / ticks_a_second;
    load->busy_ns = (int64_t)(user + nice + system + irq + soft_irq) * tick_ns;
    load->stolen_ns = (int64_t)steal * tick_ns;
    return true;
}
