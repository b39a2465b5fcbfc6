#include "tests/test_main.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "harness/log.h"

/* stderr goes to a file or a terminal while a test runs; capture_end() gives what was written. */
static int kept_stderr, capture_fd;
static char captured[65536];

static void capture_begin(int fd)
{
    fflush(stderr);
    kept_stderr = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
}

static void capture_file(void)
{
    char path[] = "/tmp/mv-test-log-XXXXXX";
    capture_fd = mkstemp(path);
    ck_assert_int_ge(capture_fd, 0);
    unlink(path);
    capture_begin(capture_fd);
}

static const char *capture_end(void)
{
    fflush(stderr);
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    ssize_t n = pread(capture_fd, captured, sizeof captured - 1, 0);
    ck_assert_int_ge(n, 0);
    captured[n] = '\0';
    close(capture_fd);
    return captured;
}

START_TEST(drops_what_is_above_the_level)
{
    capture_file();
    mv_log_set_program("mistral-verify");
    mv_log(MV_LOG_INFO, "not shown");
    mv_log(MV_LOG_WARN, "shown %d", 1);
    mv_log_set_level(MV_LOG_ERROR);
    mv_log(MV_LOG_WARN, "not shown");
    mv_log_set_level(MV_LOG_DEBUG);
    mv_log(MV_LOG_DEBUG, "shown 2");
    mv_log(MV_LOG_INFO, "shown 3");
    mv_log_set_program(NULL);
    mv_log(MV_LOG_ERROR, "shown 4\n");
    ck_assert_str_eq(capture_end(), "mistral-verify: warning: shown 1\n"
                                    "mistral-verify: debug: shown 2\n"
                                    "mistral-verify: shown 3\n"
                                    "error: shown 4\n");
}
END_TEST

START_TEST(what_a_backend_says_cannot_steer_the_terminal)
{
    capture_file();
    mv_log_backend(NULL, MV_LOG_WARN, "a\x1b[2J\nb\xc2\x9b\x7f \xe2\x82\xac %s\n\n");
    mv_log_backend(NULL, MV_LOG_WARN, NULL);
    ck_assert_str_eq(capture_end(), "warning: a\\x1b[2J\\nb\\x9b\\x7f \xe2\x82\xac %s\n"
                                    "warning: (null)\n");
}
END_TEST

START_TEST(shows_no_progress_where_there_is_no_terminal)
{
    capture_file();
    mv_log_progress("%d of 3", 1);
    ck_assert_str_eq(capture_end(), "");
}
END_TEST

static void *log_lines(void *argument)
{
    for (int i = 0; i < 100; i++) {
        mv_log(MV_LOG_WARN, "%s", (const char *)argument);
    }
    return NULL;
}

START_TEST(lines_of_two_threads_stay_apart)
{
    static char a[] = "aaaaaaaaaaaaaaaaaaaa", b[] = "bbbbbbbbbbbbbbbbbbbb";
    pthread_t threads[2];
    capture_file();
    int started = pthread_create(&threads[0], NULL, log_lines, a) == 0;
    started += pthread_create(&threads[1], NULL, log_lines, b) == 0;
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    const char *text = capture_end();
    ck_assert_int_eq(started, 2);
    ck_assert_uint_eq(strlen(text), 200 * strlen("warning: aaaaaaaaaaaaaaaaaaaa\n"));
    for (; *text != '\0'; text = strchr(text, '\n') + 1) {
        ck_assert(strncmp(text, "warning: aaaaaaaaaaaaaaaaaaaa\n", 30) == 0 ||
                  strncmp(text, "warning: bbbbbbbbbbbbbbbbbbbb\n", 30) == 0);
    }
}
END_TEST

START_TEST(a_message_clears_the_progress_line_first)
{
    struct winsize size = {24, 12, 0, 0};
    char text[256];
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) {
        printf("# skipped: no pseudo terminal here\n");
        return;
    }
    int fd = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ioctl(fd, TIOCSWINSZ, &size), 0);
    setenv("TERM", "xterm", 1);
    capture_begin(fd);
    mv_log_progress("1 of 3, and more than fits");
    mv_log(MV_LOG_WARN, "x");
    mv_log_progress("2 of 3");
    mv_log_progress("%s", "");
    mv_log_set_level(MV_LOG_ERROR); /* --quiet */
    mv_log_progress("not shown");
    fflush(stderr);
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    /* A terminal hands over what has arrived: several pieces, at times. */
    static const char expected[] = "1 of 3, and\r\033[Kwarning: x\r\n2 of 3\r\033[K";
    struct pollfd ready = {.fd = terminal, .events = POLLIN};
    size_t at = 0;
    while (at < sizeof expected - 1 && poll(&ready, 1, 5000) == 1) {
        ssize_t n = read(terminal, text + at, sizeof text - 1 - at);
        ck_assert_int_gt(n, 0);
        at += (size_t)n;
    }
    text[at] = '\0';
    ck_assert_str_eq(text, expected);
    ck_assert_int_eq(poll(&ready, 1, 50), 0); /* and nothing more */
    close(fd);
    close(terminal);
}
END_TEST

static void reset_log(void)
{
    mv_log_set_level(MV_LOG_WARN);
    mv_log_set_program(NULL);
}

static Suite *log_suite(void)
{
    Suite *suite = suite_create("log");
    TCase *log_case = tcase_create("log");
    tcase_add_checked_fixture(log_case, reset_log, reset_log);
    tcase_add_test(log_case, drops_what_is_above_the_level);
    tcase_add_test(log_case, what_a_backend_says_cannot_steer_the_terminal);
    tcase_add_test(log_case, shows_no_progress_where_there_is_no_terminal);
    tcase_add_test(log_case, lines_of_two_threads_stay_apart);
    tcase_add_test(log_case, a_message_clears_the_progress_line_first);
    suite_add_tcase(suite, log_case);
    return suite;
}

MV_TEST_MAIN(log_suite)
