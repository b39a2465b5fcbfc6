/* noise.c - an ensemble of harmless variants on the tokens of a case. */
#include "suites/noise.h"

#include <math.h>

const char *const mv_harmless[MV_N_HARMLESS] = {"sums_split_4",    "sums_split_16", "sums_reversed",
                                                "sums_permuted_a", "sums_fused",    "keys_reversed",
                                                "softmax_online",  "exp_as_exp2"};

/* Eight numbers say little about their own spread: less than this is luck. */
#define LEAST_SPREAD 0.005

mv_code mv_noise_measure(mv_run *run, mv_truth *truth, const mv_schedule *schedule, mv_play *play,
                         mv_error *error)
{
    const size_t vocab_size = run->options.model->params.vocab_size;
    mv_code code = MV_OK;
    for (size_t v = 0; v < MV_N_HARMLESS && code == MV_OK; v++) {
        const mv_option option = {"mutant", mv_harmless[v]};
        const mv_engine_setup setup = {
            .backend = run->options.mutant, .options = &option, .n_options = 1};
        code = mv_play_schedule(run, &setup, schedule, play, error);
        if (code == MV_OK)
            code =
                mv_truth_measure(truth, &play->tracks[0], vocab_size, &truth->ensemble[v], error);
    }
    truth->has_ensemble = code == MV_OK;
    return code;
}

void mv_noise_init(mv_noise *noise, size_t vocab_size)
{
    for (size_t v = 0; v < MV_N_HARMLESS; v++)
        mv_error_profile_init(&noise->variants[v], vocab_size);
}

void mv_noise_free(mv_noise *noise)
{
    for (size_t v = 0; v < MV_N_HARMLESS; v++)
        mv_error_profile_free(&noise->variants[v]);
}

mv_code mv_noise_add_row(mv_noise *noise, const mv_truth *truth, size_t position, mv_error *error)
{
    mv_code code = MV_OK;
    for (size_t v = 0; v < MV_N_HARMLESS && code == MV_OK; v++)
        code =
            mv_error_profile_append(&noise->variants[v], &truth->ensemble[v], position, 1, error);
    return code;
}

mv_code mv_noise_spread(const mv_noise *noise, const mv_error_profile *reference, double *mean,
                        double *spread, mv_error *error)
{
    double sum = 0, square = 0, ratios[MV_N_HARMLESS];
    for (size_t v = 0; v < MV_N_HARMLESS; v++) {
        mv_metrics metrics;
        mv_code code = mv_metrics_from_profiles(&metrics, reference, &noise->variants[v], error);
        if (code != MV_OK)
            return code;
        ratios[v] = metrics.r_rmse;
        sum += ratios[v];
    }
    *mean = sum / MV_N_HARMLESS;
    for (size_t v = 0; v < MV_N_HARMLESS; v++)
        square += (ratios[v] - *mean) * (ratios[v] - *mean);
    *spread = fmax(sqrt(square / (MV_N_HARMLESS - 1)), LEAST_SPREAD * *mean);
    return MV_OK;
}
