/* replay.c - runs every file of some folders through a fuzz target, without a fuzzer: so that an
 * input that once broke something is tried in every test run, with any compiler.
 *
 *   replay_pickle FOLDER...
 */
#include <dirent.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    FUZZ_CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    long size = ftell(file);
    FUZZ_CHECK(size >= 0);
    rewind(file);
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    FUZZ_CHECK(data != NULL && fread(data, 1, (size_t)size, file) == (size_t)size);
    (void)fclose(file);
    FUZZ_CHECK(LLVMFuzzerTestOneInput(data, (size_t)size) == 0);
    free(data);
}

int main(int argc, char **argv)
{
    int n_files = 0;
    fuzz_everything = true;
    for (int i = 1; i < argc; i++) {
        struct dirent **entries = NULL;
        int n = scandir(argv[i], &entries, is_visible, alphasort);
        for (int k = 0; k < n; k++) {
            char path[4096];
            (void)snprintf(path, sizeof path, "%s/%s", argv[i], entries[k]->d_name);
            (void)printf("%s\n", path); /* the last line names the culprit */
            (void)fflush(stdout);
            replay_file(path);
            free(entries[k]);
            n_files++;
        }
        free(entries);
    }
    (void)printf("%d files\n", n_files);
    return n_files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
