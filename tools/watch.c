#include "tools/watch.h"

#include <signal.h>
#include <string.h>

#include "harness/clock.h"
#include "harness/log.h"

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static bool go_on(void *cookie, uint64_t n_bytes_more)
{
    mv_watch *w = cookie;
    const int64_t now = mv_clock_wall_ns();
    w->done_bytes += n_bytes_more;
    if (now - w->shown_ns > 100000000) {
        const double seconds = (double)(now - w->start_ns) * 1e-9;
        const double rate = (double)w->done_bytes / seconds;
        w->shown_ns = now;
        mv_log_progress("%s %.0f %% \xc2\xb7 %.2f GB/s \xc2\xb7 %.0f s left", w->what,
                        100.0 * (double)w->done_bytes / (double)w->total_bytes, rate * 1e-9,
                        (double)(w->total_bytes - w->done_bytes) / rate);
    }
    return stopped == 0;
}

void mv_watch_start(mv_watch *watch, const char *what, uint64_t total_bytes)
{
    struct sigaction action = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
    stopped = 0;
    *watch = (mv_watch){.watch = {go_on, watch},
                        .what = what,
                        .total_bytes = total_bytes > 0 ? total_bytes : 1,
                        .start_ns = mv_clock_wall_ns(),
                        .shown_ns = mv_clock_wall_ns()};
    (void)sigaction(SIGINT, &action, NULL);
}

void mv_watch_stop(mv_watch *watch)
{
    mv_log_progress("%s", "");
    watch->what = NULL;
    (void)signal(SIGINT, SIG_DFL);
}
