/* cuda_options.c - --backend-option KEY=VALUE, each a row of the table below. */
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/cuda_engine.h"

static bool read_number(uint32_t *to, const char *value, uint32_t least, uint32_t most)
{
    char *end = NULL;
    const unsigned long number = strtoul(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || number < least || number > most)
        return false;
    *to = (uint32_t)number;
    return true;
}

static bool read_switch(bool *to, const char *value)
{
    *to = strcmp(value, "1") == 0;
    return *to || strcmp(value, "0") == 0;
}

static bool read_device(mv_choices *to, const char *value)
{
    return read_number(&to->ordinal, value, 0, 1023);
}

static bool read_graphs(mv_choices *to, const char *value)
{
    return read_switch(&to->graphs, value);
}

static bool read_pdl(mv_choices *to, const char *value)
{
    return read_switch(&to->pdl, value);
}

static bool read_piece(mv_choices *to, const char *value)
{
    return read_number(&to->piece, value, 1, 65536);
}

static bool read_tune(mv_choices *to, const char *value)
{
    return read_number(&to->tune, value, 0, 16);
}

static const struct {
    const char *key, *expected;
    bool (*read)(mv_choices *to, const char *value);
} keys[] = {
    {"device", "a number from 0 on", read_device},
    {"graphs", "0 or 1", read_graphs},
    {"pdl", "0 or 1", read_pdl},
    {"piece", "a number of rows, 1 ... 65536", read_piece},
    {"tune", "a number of algorithms, 0 ... 16", read_tune},
};
#define N_KEYS (sizeof keys / sizeof keys[0])

static mv_code read_option(mv_choices *to, const mv_option *option, mv_error *error)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        if (strcmp(option->key, keys[i].key) != 0)
            continue;
        if (keys[i].read(to, option->value))
            return MV_OK;
        return mv_fail(error, MV_ERR_ARGUMENT, "%s: option %s=%s: expected %s", mv_device_backend,
                       option->key, option->value, keys[i].expected);
    }
    return mv_fail(error, MV_ERR_ARGUMENT,
                   "%s: unknown option '%s'; known: device=N, graphs=0|1, pdl=0|1, piece=ROWS, "
                   "tune=ALGORITHMS",
                   mv_device_backend, option->key);
}

mv_code mv_choices_read(mv_choices *chosen, const mv_engine_options *options, mv_error *error)
{
    mv_code code = MV_OK;
    *chosen = (mv_choices){.graphs = true, .piece = MV_PIECE_MOST};
    if (options->compute != MV_COMPUTE_F32 && options->compute != MV_COMPUTE_BF16)
        return mv_fail(error, MV_ERR_UNSUPPORTED,
                       "%s: computes in f32 or bf16, found compute type %d; use --backend "
                       "reference for f64",
                       mv_device_backend, (int)options->compute);
    for (size_t i = 0; i < options->n_options && code == MV_OK; i++)
        code = read_option(chosen, &options->options[i], error);
    return code;
}
