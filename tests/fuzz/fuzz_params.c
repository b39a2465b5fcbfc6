/* The same bytes as params.json and as config.json. */
#include "harness/params.h"
#include "tests/fuzz/fuzz.h"

static void check(mv_code code, const mv_params *params, const mv_error *error)
{
    mv_error again = {0};
    if (code != MV_OK)
        fuzz_check_refusal(code, error);
    else
        FUZZ_CHECK(mv_params_check(params, "fuzz", &again) == MV_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH_SIZE];
    int fd = fuzz_file(path, data, size), tied = -1;
    mv_params params = {0};
    mv_error error = {0};
    mv_code code = mv_params_read(&params, path, &error);
    check(code, &params, &error);
    code = mv_params_read_config(&params, &tied, path, &error);
    check(code, &params, &error);
    FUZZ_CHECK(code != MV_OK || tied == 0 || tied == 1);
    fuzz_file_close(fd);
    return 0;
}
