/* engine_guard.h - a program that calls engines in its own process: what an engine does to the
 * process must not pass for the program's own end, nor stand in its report.
 *
 * One for the process; nothing here is for several threads but the ends themselves.
 */
#ifndef MV_TOOLS_ENGINE_GUARD_H
#define MV_TOOLS_ENGINE_GUARD_H

#include "backends/mistral_backend.h"

/* From here to mv_guard_stop(): an exit() that the program did not ask for, and a signal that says
 * "crash", print one line with the current place and end the process with MV_EXIT_BACKEND. Children
 * made by fork() end as they would without it: their parent says how. Builds with a sanitizer keep
 * its own report of a crash. program: static storage. */
void mv_guard_start(const char *program);

/* The program ends itself. Call it in main(), before the return. */
void mv_guard_stop(void);

/* From here on SIGINT and SIGTERM print one line, with what mv_guard_set_progress() said last and
 * the hint, and end the process by that signal: 128 + its number to a shell. One that was ignored
 * stays ignored. hint: static storage. */
void mv_guard_catch_interrupt(const char *hint);
void mv_guard_set_progress(size_t n_done, size_t n_total, size_t n_failed);

/* Between these two such a signal waits: a file that is being written is finished first. */
void mv_guard_begin_save(void);
void mv_guard_end_save(void);

/* Where it is now, for these lines: "loading ./x.so". Cut after 250 bytes. */
MV_PRINTF(1, 2) void mv_guard_set_place(const char *format, ...);

/* The same, where another run with --isolate would go on: a case of a suite. */
MV_PRINTF(1, 2) void mv_guard_set_case(const char *format, ...);

/* From here on what anybody prints to stdout goes to stderr. stdout itself stays behind a private
 * descriptor, and is stdout again between mv_guard_begin_report() and mv_guard_end_report(). These
 * two do nothing where stdout was not hidden. A stdout that was closed is closed in the report,
 * too. */
void mv_guard_hide_stdout(void);
void mv_guard_begin_report(void);
void mv_guard_end_report(void);

#endif
