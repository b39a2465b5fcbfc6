#include "harness/sampler.h"

#include <math.h>
#include <stdlib.h>

#include "harness/synthetic.h"

typedef struct candidate {
    double p;
    int32_t token;
} candidate;

struct mv_sampler {
    mv_sampler_options options;
    uint32_t vocab_size;
    candidate *candidates; /* [vocab_size] */
};

mv_code mv_sampler_open(mv_sampler **sampler, uint32_t vocab_size,
                        const mv_sampler_options *options, mv_error *error)
{
    if (!(options->temperature >= 0.0 && options->temperature <= 1e6))
        return mv_fail(error, MV_ERR_ARGUMENT,
                       "--temperature: expected 0 (greedy) to 1e6, found %g", options->temperature);
    if (!(options->top_p >= 0.0 && options->top_p <= 1.0))
        return mv_fail(error, MV_ERR_ARGUMENT, "--top-p: expected 0 to 1, found %g",
                       options->top_p);
    mv_sampler *s = calloc(1, sizeof *s);
    candidate *candidates = calloc(vocab_size, sizeof *candidates);
    if (s == NULL || candidates == NULL) {
        free(s);
        free(candidates);
        return mv_fail(error, MV_ERR_MEMORY, "no memory to sample from %u tokens", vocab_size);
    }
    *s = (mv_sampler){*options, vocab_size, candidates};
    *sampler = s;
    return MV_OK;
}

void mv_sampler_close(mv_sampler **sampler)
{
    if (*sampler == NULL)
        return;
    free((*sampler)->candidates);
    free(*sampler);
    *sampler = NULL;
}

/* *best: the first of the largest. */
static mv_code find_best(const float *logits, uint32_t vocab_size, int32_t *best, mv_error *error)
{
    *best = 0;
    for (uint32_t i = 0; i < vocab_size; i++) {
        if (!(logits[i] < INFINITY))
            return mv_fail(error, MV_ERR_BACKEND,
                           "the logit of token %u is %g; expected a finite number", i,
                           (double)logits[i]);
        if (logits[i] > logits[*best])
            *best = (int32_t)i;
    }
    if (!(logits[*best] > -INFINITY))
        return mv_fail(error, MV_ERR_BACKEND, "every logit is -inf: there is no token to take");
    return MV_OK;
}

static int by_probability(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->p != y->p)
        return x->p < y->p ? 1 : -1;
    return (x->token > y->token) - (x->token < y->token);
}

/* Most of a vocabulary is a tail that need not be sorted. What is left out here holds less than
 * 1 - top_p in all, so the nucleus ends before it: the result is exactly that of sorting all. */
static size_t list_candidates(mv_sampler *s, const float *logits, int32_t best)
{
    const double most = (double)logits[best];
    const double least = 0.5 * (1.0 - s->options.top_p) / (double)s->vocab_size;
    double sum = 0.0;
    size_t n = 0;
    for (uint32_t i = 0; i < s->vocab_size; i++) {
        const double p = exp(((double)logits[i] - most) / s->options.temperature);
        sum += p;
        if (p > least || least == 0.0)
            s->candidates[n++] = (candidate){p, (int32_t)i};
    }
    for (size_t i = 0; i < n; i++)
        s->candidates[i].p /= sum;
    qsort(s->candidates, n, sizeof *s->candidates, by_probability);
    return n;
}

/* An entry goes when the mass before it is more than top_p: so the crossing one stays. */
static size_t cut_nucleus(const candidate *candidates, size_t n, double top_p, double *mass)
{
    size_t kept = 0;
    *mass = 0.0;
    while (kept < n && (kept == 0 || *mass <= top_p))
        *mass += candidates[kept++].p;
    return kept;
}

mv_code mv_sampler_pick(mv_sampler *s, const float *logits, uint64_t stream, uint64_t index,
                        int32_t *token, mv_error *error)
{
    int32_t best;
    mv_code code = find_best(logits, s->vocab_size, &best, error);
    if (code != MV_OK)
        return code;
    *token = best;
    if (s->options.temperature == 0.0)
        return MV_OK;
    double mass, seen = 0.0;
    const size_t n = list_candidates(s, logits, best);
    const size_t kept = cut_nucleus(s->candidates, n, s->options.top_p, &mass);
    const uint64_t bits = mv_synthetic_bits(s->options.seed, stream, index);
    const double draw = (double)(bits >> 11) * 0x1p-53 * mass; /* [0, mass) */
    for (size_t i = 0; i < kept; i++) {
        *token = s->candidates[i].token; /* rounding may leave draw at the end: the last it is */
        seen += s->candidates[i].p;
        if (draw < seen)
            break;
    }
    return MV_OK;
}

double mv_log_prob(const float *logits, uint32_t vocab_size, int32_t token)
{
    double most = -INFINITY, sum = 0.0;
    for (uint32_t i = 0; i < vocab_size; i++)
        most = (double)logits[i] > most ? (double)logits[i] : most;
    for (uint32_t i = 0; i < vocab_size; i++)
        sum += exp((double)logits[i] - most);
    return (double)logits[token] - most - log(sum);
}
