#include "tools/read_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef MV_HAVE_LIBEDIT
#include <histedit.h>
#include <locale.h>
#endif

struct mv_line_reader {
    const char *prompt;
    bool terminal;
    char *line; /* getline's */
    size_t capacity;
#ifdef MV_HAVE_LIBEDIT
    EditLine *edit;
    History *history;
    bool cancelled;
    locale_t utf8; /* or 0 */
#endif
};

#ifdef MV_HAVE_LIBEDIT

static char *show_prompt(EditLine *edit)
{
    void *data = NULL;
    (void)el_get(edit, EL_CLIENTDATA, &data);
    return (char *)(uintptr_t)((mv_line_reader *)data)->prompt;
}

static unsigned char cancel(EditLine *edit, int key)
{
    void *data = NULL;
    (void)key;
    (void)el_get(edit, EL_CLIENTDATA, &data);
    ((mv_line_reader *)data)->cancelled = true;
    return CC_NEWLINE;
}

/* Ctrl-C comes as a key, not as a signal, while a line is edited: so there is no moment in which
 * it could end the program. */
static void open_edit(mv_line_reader *r)
{
    HistEvent event;
    /* In the locale that a program begins with, libedit drops all that is not ASCII. For this
     * thread alone: the numbers of the others keep their points. */
    r->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (r->utf8 != (locale_t)0)
        (void)uselocale(r->utf8);
    r->edit = el_init("mistral-run", stdin, stdout, stderr);
    r->history = history_init();
    if (r->edit == NULL || r->history == NULL)
        return;
    (void)history(r->history, &event, H_SETSIZE, 500);
    (void)el_set(r->edit, EL_CLIENTDATA, r);
    (void)el_set(r->edit, EL_PROMPT, show_prompt);
    (void)el_set(r->edit, EL_EDITOR, "emacs");
    (void)el_set(r->edit, EL_HIST, history, r->history);
    (void)el_set(r->edit, EL_ADDFN, "mv-cancel", "give up this line", cancel);
    (void)el_set(r->edit, EL_BIND, "^C", "mv-cancel", NULL);
    (void)el_set(r->edit, EL_SETTY, "-d", "-isig", NULL);
}

static mv_code read_edited(mv_line_reader *r, const char **line, size_t *size)
{
    HistEvent event;
    int n = 0;
    const char *text;
    do {
        r->cancelled = false;
        text = el_gets(r->edit, &n);
    } while (r->cancelled && text != NULL);
    *line = n > 0 ? text : NULL;
    *size = 0;
    if (*line == NULL)
        return MV_OK;
    if (n > 1)
        (void)history(r->history, &event, H_ENTER, text);
    *size = (size_t)n - (text[n - 1] == '\n');
    return MV_OK;
}

#endif

mv_code mv_line_reader_open(mv_line_reader **reader, const char *prompt, mv_error *error)
{
    mv_line_reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return mv_fail(error, MV_ERR_MEMORY, "no memory for a line of input");
    r->prompt = prompt;
    r->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
#ifdef MV_HAVE_LIBEDIT
    if (r->terminal)
        open_edit(r);
#endif
    *reader = r;
    return MV_OK;
}

void mv_line_reader_close(mv_line_reader **reader)
{
    mv_line_reader *r = *reader;
    if (r == NULL)
        return;
#ifdef MV_HAVE_LIBEDIT
    if (r->edit != NULL)
        el_end(r->edit);
    if (r->history != NULL)
        history_end(r->history);
    if (r->utf8 != (locale_t)0) {
        (void)uselocale(LC_GLOBAL_LOCALE);
        freelocale(r->utf8);
    }
#endif
    free(r->line);
    free(r);
    *reader = NULL;
}

bool mv_line_reader_is_terminal(const mv_line_reader *reader)
{
    return reader->terminal;
}

mv_code mv_line_reader_read(mv_line_reader *r, const char **line, size_t *size, mv_error *error)
{
#ifdef MV_HAVE_LIBEDIT
    if (r->edit != NULL && r->history != NULL)
        return read_edited(r, line, size);
#endif
    if (r->terminal) {
        (void)fputs(r->prompt, stdout);
        (void)fflush(stdout);
    }
    errno = 0;
    ssize_t n = getline(&r->line, &r->capacity, stdin);
    *line = NULL;
    *size = 0;
    if (n < 0 && ferror(stdin) != 0 && errno != EIO) /* EIO: the terminal went away */
        return mv_fail(error, MV_ERR_IO, "standard input cannot be read: %s",
                       errno == EBADF ? "it is closed" : strerror(errno));
    if (n < 0)
        return MV_OK;
    *line = r->line;
    *size = (size_t)n;
    if (*size > 0 && r->line[*size - 1] == '\n')
        r->line[--*size] = '\0';
    return MV_OK;
}
