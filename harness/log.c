#include "harness/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What lies below is shared by all threads. The lock also keeps the lines of two threads apart,
 * and a progress line from being half cleared. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *program_name;
static bool progress_is_shown;

/* Read before the lock is taken: a message that is dropped costs one load. */
static _Atomic int log_level = MV_LOG_WARN;

static const char *const level_words[] = {
    [MV_LOG_ERROR] = "error: ",
    [MV_LOG_WARN] = "warning: ",
    [MV_LOG_INFO] = "",
    [MV_LOG_DEBUG] = "debug: ",
};

void mv_log_set_level(mv_log_level level)
{
    atomic_store(&log_level, (int)level);
}

mv_log_level mv_log_get_level(void)
{
    return (mv_log_level)atomic_load(&log_level);
}

void mv_log_set_program(const char *program)
{
    pthread_mutex_lock(&lock);
    program_name = program;
    pthread_mutex_unlock(&lock);
}

/* A line in the making. stderr has no buffer, and other processes of the run write to it as well:
 * a line that goes out in one write() arrives in one piece. */
typedef struct log_page {
    FILE *file; /* stderr itself if memory is short */
    char *text;
    size_t size;
} log_page;

static FILE *open_page(log_page *page)
{
    page->text = NULL;
    page->size = 0;
    page->file = open_memstream(&page->text, &page->size);
    if (page->file == NULL) {
        page->file = stderr;
    }
    return page->file;
}

static void close_page(log_page *page)
{
    if (page->file != stderr) {
        fclose(page->file);
        if (page->text != NULL) {
            fwrite(page->text, 1, page->size, stderr);
        }
        free(page->text);
    }
    fflush(stderr);
}

static void erase_progress(FILE *out)
{
    if (progress_is_shown) {
        fputs("\r\033[K", out);
        progress_is_shown = false;
    }
}

/* A message may quote a file, or come from a plugin. What would steer the terminal (C0, DEL, and
 * C1 as UTF-8 writes it) is shown as \xNN, so that one message stays one line of plain text. */
static void put_plain(FILE *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        unsigned char next = (unsigned char)(i + 1 < size ? text[i + 1] : 0);
        if (byte == '\n') {
            fputs("\\n", out);
        } else if (byte == 0xC2 && next >= 0x80 && next <= 0x9F) {
            fprintf(out, "\\x%02x", next);
            i++;
        } else if ((byte < 0x20 && byte != '\t') || byte == 0x7F) {
            fprintf(out, "\\x%02x", byte);
        } else {
            fputc(byte, out);
        }
    }
}

static void write_line(mv_log_level level, const char *text)
{
    size_t size = strlen(text);
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r')) {
        size--;
    }
    size_t index = (size_t)level;
    const char *word = index < sizeof level_words / sizeof *level_words ? level_words[index] : "";

    pthread_mutex_lock(&lock);
    log_page line;
    FILE *out = open_page(&line);
    erase_progress(out);
    if (program_name != NULL) {
        fprintf(out, "%s: ", program_name);
    }
    fputs(word, out);
    put_plain(out, text, size);
    fputc('\n', out);
    close_page(&line);
    pthread_mutex_unlock(&lock);
}

void mv_log(mv_log_level level, const char *format, ...)
{
    if ((int)level > atomic_load(&log_level)) {
        return;
    }
    int kept_errno = errno; /* a caller may log between a failed call and its strerror() */
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    write_line(level, length < 0 ? format : text); /* the format says at least what it was about */
    if (length >= 0) {
        free(text);
    }
    errno = kept_errno;
}

/* 0 if stderr cannot show a line that is overwritten. */
static size_t terminal_columns(void)
{
    const char *term = getenv("TERM");
    if (!isatty(STDERR_FILENO) || term == NULL || strcmp(term, "dumb") == 0) {
        return 0;
    }
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return 80;
    }
    return size.ws_col;
}

void mv_log_progress(const char *format, ...)
{
    if (atomic_load(&log_level) < MV_LOG_WARN) {
        return;
    }
    int kept_errno = errno;
    size_t columns = terminal_columns();
    if (columns > 1) {
        char text[512];
        va_list args;
        va_start(args, format);
        int length = vsnprintf(text, sizeof text, format, args);
        va_end(args);
        size_t size = length < 0 ? 0 : strlen(text);
        if (size >= columns) {
            size = columns - 1; /* a line that wraps cannot be erased */
        }
        while (size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80) {
            size--; /* not in the middle of a character */
        }
        pthread_mutex_lock(&lock);
        log_page line;
        FILE *out = open_page(&line);
        erase_progress(out);
        put_plain(out, text, size);
        progress_is_shown = size > 0;
        close_page(&line);
        pthread_mutex_unlock(&lock);
    }
    errno = kept_errno;
}

void mv_log_backend(void *cookie, mv_log_level level, const char *text)
{
    (void)cookie;
    mv_log(level, "%s", text != NULL ? text : "(null)");
}
