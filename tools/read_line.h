/* read_line.h - one line of text from a person or a pipe.
 *
 * With libedit, and on a terminal: editing, history, Ctrl-C clears the line, Ctrl-D on an empty
 * line ends. Else the line as it comes.
 */
#ifndef MV_TOOLS_READ_LINE_H
#define MV_TOOLS_READ_LINE_H

#include <stdbool.h>

#include "backends/mistral_backend.h"

typedef struct mv_line_reader mv_line_reader;

/* prompt: shown on a terminal only; borrowed until close. Yours: mv_line_reader_close(). */
MV_MUST_CHECK mv_code mv_line_reader_open(mv_line_reader **reader, const char *prompt,
                                          mv_error *error);
void mv_line_reader_close(mv_line_reader **reader);
bool mv_line_reader_is_terminal(const mv_line_reader *reader);

/* *line: the reader's own, until the next call; without its newline; *size bytes, which may hold a
 * NUL. NULL at the end of the input. MV_ERR_IO: standard input is closed, or fails. */
MV_MUST_CHECK mv_code mv_line_reader_read(mv_line_reader *reader, const char **line, size_t *size,
                                          mv_error *error);

#endif
