/* engine_guard.c - exit(), signals and stdout, taken from the engines. */
#include "tools/engine_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/log.h"
#include "tools/cli.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { HAS_SANITIZER = true };
#else
enum { HAS_SANITIZER = false };
#endif

/* Read by a signal handler: fixed memory, whole lines. */
static const char *program_name = "";
static char place[256] = "its start";
static volatile sig_atomic_t in_case;
static volatile sig_atomic_t is_terminal; /* a progress line may stand there */
static pid_t owner;                       /* 0: no guard */
static bool may_exit;                     /* the program itself */

/* ---- exit() ---- */

static void catch_exit(void)
{
    if (may_exit || owner != getpid())
        return;
    mv_log(MV_LOG_ERROR, "the backend called exit() in %s; expected it to return", place);
    _exit(MV_EXIT_BACKEND);
}

/* ---- signals ---- */

typedef struct crash {
    int number;
    const char *name;
} crash;

static const crash crashes[] = {{SIGSEGV, "SIGSEGV"},
                                {SIGABRT, "SIGABRT"},
                                {SIGBUS, "SIGBUS"},
                                {SIGFPE, "SIGFPE"},
                                {SIGILL, "SIGILL"}};
enum { N_CRASHES = sizeof crashes / sizeof *crashes };

/* Only what a handler may do. One write() keeps the line whole. */
static void add(char *line, size_t size, size_t *used, const char *text)
{
    for (; *text != '\0' && *used + 1 < size; text++)
        line[(*used)++] = *text;
}

static void catch_signal(int number)
{
    char line[512];
    size_t used = 0;
    const char *name = "a signal";
    if (owner != getpid()) {
        (void)raise(number); /* a child, and the handler is gone: it dies of it on return */
        return;
    }
    for (size_t i = 0; i < N_CRASHES; i++)
        name = crashes[i].number == number ? crashes[i].name : name;
    add(line, sizeof line, &used, is_terminal != 0 ? "\r\033[K" : "");
    add(line, sizeof line, &used, program_name);
    add(line, sizeof line, &used, ": error: the engine crashed (");
    add(line, sizeof line, &used, name);
    add(line, sizeof line, &used, ") in ");
    add(line, sizeof line, &used, place);
    if (in_case != 0)
        add(line, sizeof line, &used, "; run again with --isolate to go on behind it");
    add(line, sizeof line, &used, "\n");
    const ssize_t n = write(STDERR_FILENO, line, used);
    (void)n;
    _exit(MV_EXIT_BACKEND);
}

/* On a stack of its own: the engine's may be what has run out. */
static void catch_crashes(void)
{
    static char room[65536];
    const stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    struct sigaction action = {.sa_handler = catch_signal,
                               .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK)};
    (void)sigemptyset(&action.sa_mask);
    if (HAS_SANITIZER || sigaltstack(&stack, NULL) != 0)
        return;
    for (size_t i = 0; i < N_CRASHES; i++)
        (void)sigaction(crashes[i].number, &action, NULL);
}

/* ---- an impatient user ---- */

static const char *interrupt_hint = "";
static volatile sig_atomic_t n_done, n_total, n_failed, is_saving, waiting;

static void add_number(char *line, size_t size, size_t *used, int number)
{
    char digits[16];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0 && at > 0);
    add(line, size, used, digits + at);
}

static void say_interrupted(int number)
{
    char line[640];
    size_t used = 0;
    add(line, sizeof line, &used, is_terminal != 0 ? "\r\033[K" : "");
    add(line, sizeof line, &used, program_name);
    add(line, sizeof line, &used, number == SIGINT ? ": interrupted" : ": terminated");
    if (n_total > 0) {
        add(line, sizeof line, &used, " after ");
        add_number(line, sizeof line, &used, n_done);
        add(line, sizeof line, &used, " of ");
        add_number(line, sizeof line, &used, n_total);
        add(line, sizeof line, &used, " (");
        add_number(line, sizeof line, &used, n_failed);
        add(line, sizeof line, &used, " failed)");
    }
    add(line, sizeof line, &used, ", in ");
    add(line, sizeof line, &used, place);
    add(line, sizeof line, &used, interrupt_hint);
    add(line, sizeof line, &used, "\n");
    const ssize_t n = write(STDERR_FILENO, line, used);
    (void)n;
}

/* The handler is gone: the signal that is raised here ends the process on return. */
static void catch_interrupt(int number)
{
    if (owner == getpid() && is_saving != 0) {
        waiting = number;
        return;
    }
    if (owner == getpid())
        say_interrupted(number);
    (void)raise(number);
}

void mv_guard_catch_interrupt(const char *hint)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    struct sigaction action = {.sa_handler = catch_interrupt, .sa_flags = (int)SA_RESETHAND}, old;
    (void)sigemptyset(&action.sa_mask);
    interrupt_hint = hint;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            (void)sigaction(numbers[i], &action, NULL);
    }
}

void mv_guard_set_progress(size_t done, size_t total, size_t failed)
{
    n_done = (sig_atomic_t)done;
    n_total = (sig_atomic_t)(total > done ? total : done);
    n_failed = (sig_atomic_t)failed;
}

void mv_guard_begin_save(void)
{
    is_saving = 1;
}

void mv_guard_end_save(void)
{
    is_saving = 0;
    if (waiting == 0)
        return;
    say_interrupted(waiting);
    (void)raise(waiting);
}

/* ---- the guard ---- */

void mv_guard_start(const char *program)
{
    program_name = program;
    is_terminal = isatty(STDERR_FILENO) != 0;
    if (atexit(catch_exit) == 0)
        owner = getpid();
    catch_crashes();
}

void mv_guard_stop(void)
{
    may_exit = true;
    mv_guard_set_place("what runs at the end of the program"); /* a plugin's destructors, say */
}

static void set_place(const char *format, va_list args)
{
    (void)vsnprintf(place, sizeof place, format, args);
    for (char *at = place; *at != '\0'; at++)
        *at = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at; /* the line stays one line */
}

void mv_guard_set_place(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_place(format, args);
    va_end(args);
    in_case = 0;
}

void mv_guard_set_case(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_place(format, args);
    va_end(args);
    in_case = 1;
}

/* ---- stdout ---- */

static int kept = -1; /* stdout, while 1 is stderr */
static bool is_hidden, was_closed;

/* 1 is never left closed: the next file that is opened would be stdout. */
static void point_to_stderr(void)
{
    (void)fflush(stdout);
    if (dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
        return;
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0 && nowhere != STDOUT_FILENO) {
        (void)dup2(nowhere, STDOUT_FILENO);
        (void)close(nowhere);
    }
}

void mv_guard_hide_stdout(void)
{
    kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    was_closed = kept < 0 && errno == EBADF;
    if (kept < 0 && !was_closed)
        return; /* no descriptor left: prints stay where they were */
    is_hidden = true;
    point_to_stderr();
}

void mv_guard_begin_report(void)
{
    if (!is_hidden)
        return;
    (void)fflush(stdout); /* what an engine has left in the buffer is not the report's */
    if (was_closed)
        (void)close(STDOUT_FILENO);
    else
        (void)dup2(kept, STDOUT_FILENO);
}

void mv_guard_end_report(void)
{
    if (is_hidden)
        point_to_stderr();
}
