#include "harness/release.h"

#define SHAPES                                                                                     \
    .dim = 4096, .n_layers = 32, .head_dim = 128, .hidden_dim = 14336, .n_heads = 32,              \
    .n_kv_heads = 8, .norm_eps = 1e-5

/* v0.1's params.json has no rope_theta: 1e4 was not a choice then. From v0.2 on there is no window,
 * and 1e6. v0.3 has 768 control pieces more, and differs in nothing else. */
static const mv_release releases[] = {
    {"Mistral-7B v0.1",
     "Instruct v0.1",
     "window 4096, theta 1e4, 32000 pieces",
     {SHAPES, .vocab_size = 32000, .sliding_window = 4096, .rope_theta = 1e4}},
    {"Mistral-7B v0.2",
     "Instruct v0.2",
     "no window, theta 1e6, 32000 pieces",
     {SHAPES, .vocab_size = 32000, .sliding_window = 0, .rope_theta = 1e6}},
    {"Mistral-7B v0.3",
     "Instruct v0.3",
     "no window, theta 1e6, 32768 pieces",
     {SHAPES, .vocab_size = 32768, .sliding_window = 0, .rope_theta = 1e6}},
};
enum { N_RELEASES = sizeof releases / sizeof *releases };

static int same_shapes(const mv_params *a, const mv_params *b)
{
    return a->dim == b->dim && a->n_layers == b->n_layers && a->head_dim == b->head_dim &&
           a->hidden_dim == b->hidden_dim && a->n_heads == b->n_heads &&
           a->n_kv_heads == b->n_kv_heads && a->vocab_size == b->vocab_size;
}

const mv_release *mv_release_find(const mv_params *p)
{
    for (int i = 0; i < N_RELEASES; i++) {
        const mv_params *r = &releases[i].params;
        if (same_shapes(p, r) && p->sliding_window == r->sliding_window &&
            p->rope_theta == r->rope_theta && p->norm_eps == r->norm_eps)
            return &releases[i];
    }
    return NULL;
}

int mv_release_is_mixed(const mv_params *p, const char **expected)
{
    if (mv_release_find(p) != NULL)
        return 0;
    for (int i = N_RELEASES - 1; i >= 0; i--) {
        if (!same_shapes(p, &releases[i].params))
            continue;
        *expected = p->vocab_size == 32768
                        ? "no window, theta 1e6 and eps 1e-5 (v0.3)"
                        : "window 4096, theta 1e4 (v0.1) or no window, theta 1e6 (v0.2); eps 1e-5";
        return 1;
    }
    return 0;
}
