/* log.h - stderr, in levels. stdout belongs to the result.
 *
 * A function that returns an error does not also log it: the tool prints it once, at the end.
 */
#ifndef MV_HARNESS_LOG_H
#define MV_HARNESS_LOG_H

#include "backends/mistral_backend.h"

/* Messages above this level are dropped. Default: MV_LOG_WARN. */
void mv_log_set_level(mv_log_level level);
mv_log_level mv_log_get_level(void);

/* "PROGRAM: " or nothing before every line; borrowed. */
void mv_log_set_program(const char *program);

/* One line; the newline is added here. Thread-safe. */
MV_PRINTF(2, 3) void mv_log(mv_log_level level, const char *format, ...);

/* A line on stderr that is overwritten by the next (a TTY), or nothing (not a TTY, or quiet).
 * Any mv_log() clears it first. An empty text ("%s", "") clears it. */
MV_PRINTF(1, 2) void mv_log_progress(const char *format, ...);

/* For mv_engine_options.log. */
void mv_log_backend(void *cookie, mv_log_level level, const char *text);

#endif
