/* golden_diff.c - two goldens, dataset by dataset. */
#include <math.h>
#include <string.h>

#include "golden/golden_private.h"

typedef struct differ {
    void (*each)(void *cookie, const mv_golden_difference *difference);
    void *cookie;
} differ;

static mv_golden_difference start(const char *path)
{
    mv_golden_difference d = {.relative = NAN, .max_abs = NAN};
    (void)snprintf(d.path, sizeof d.path, "%s", path);
    return d;
}

MV_PRINTF(3, 4)
static void say(const differ *to, const char *path, const char *format, ...)
{
    mv_golden_difference d = start(path);
    va_list args;
    d.n_different = 1;
    va_start(args, format);
    (void)vsnprintf(d.note, sizeof d.note, format, args);
    va_end(args);
    to->each(to->cookie, &d);
}

/* Sums over values that come one by one. */
typedef struct sums {
    size_t n, n_different;
    double square, size, max_abs;
} sums;

static void add(sums *s, double a, double b)
{
    const double d = fabs(a - b);
    s->n++;
    s->n_different += !(a == b);
    s->square += d * d;
    s->size += a * a;
    s->max_abs = fmax(s->max_abs, d);
}

static void tell(const differ *to, const char *path, const sums *s)
{
    mv_golden_difference d = start(path);
    d.n_compared = s->n;
    d.n_different = s->n_different;
    d.max_abs = s->max_abs;
    d.relative = s->square > 0 ? sqrt(s->square / s->size) : 0;
    to->each(to->cookie, &d);
}

static void diff_model(const mv_golden *a, const mv_golden *b, const differ *to)
{
    const golden_param *rows;
    size_t n, n_different = 0, first = 0;
    rows = golden_params(&n);
    for (size_t i = 0; i < n; i++) {
        const double x = golden_param_get(&a->params, &rows[i]),
                     y = golden_param_get(&b->params, &rows[i]);
        char path[96];
        (void)snprintf(path, sizeof path, "/model@%s", rows[i].key);
        if (x != y)
            say(to, path, "%.9g and %.9g", x, y);
    }
    if (a->n_weights != b->n_weights) {
        say(to, "/model/weights", "%zu and %zu tensors", a->n_weights, b->n_weights);
        return;
    }
    for (size_t i = a->n_weights; i-- > 0;) {
        if (strcmp(a->weights[i].sha256, b->weights[i].sha256) != 0 ||
            strcmp(a->weights[i].dtype, b->weights[i].dtype) != 0) {
            n_different++;
            first = i;
        }
    }
    if (n_different > 0) {
        say(to, "/model/weights", "%zu of %zu tensors differ, first %s", n_different, a->n_weights,
            a->weights[first].name);
    } else {
        mv_golden_difference same = start("/model/weights");
        same.n_compared = a->n_weights;
        to->each(to->cookie, &same);
    }
}

static void diff_oracle(const mv_golden_case *a, const mv_golden_case *b, size_t vocab_size,
                        const char *path, const differ *to)
{
    sums s = {0};
    for (size_t i = 0, j = 0; i < a->n_positions && j < b->n_positions;) {
        if (a->positions[i] < b->positions[j]) {
            i++;
        } else if (a->positions[i] > b->positions[j]) {
            j++;
        } else {
            for (size_t v = 0; v < vocab_size; v++)
                add(&s, a->oracle[i * vocab_size + v], b->oracle[j * vocab_size + v]);
            i++;
            j++;
        }
    }
    tell(to, path, &s);
}

static void diff_summaries(const mv_golden_case *a, const mv_golden_case *b, size_t number,
                           const differ *to)
{
    char path[96];
    sums sketch = {0}, ids = {0}, values = {0}, lse = {0};
    for (size_t i = 0; i < a->n_tokens * MV_SKETCH_SIZE; i++)
        add(&sketch, (double)a->sketch[i], (double)b->sketch[i]);
    for (size_t i = 0; i < a->n_tokens * a->n_top; i++) {
        add(&ids, a->top_ids[i], b->top_ids[i]);
        add(&values, a->top_values[i], b->top_values[i]);
    }
    for (size_t i = 0; i < a->n_tokens; i++)
        add(&lse, a->lse[i], b->lse[i]);
    golden_case_path(path, sizeof path, number, "logits/sketch");
    if (a->sketch_seed != b->sketch_seed)
        say(to, path, "two seeds, %lld and %lld: cannot be compared", (long long)a->sketch_seed,
            (long long)b->sketch_seed);
    else
        tell(to, path, &sketch);
    golden_case_path(path, sizeof path, number, "logits/top_ids");
    tell(to, path, &ids);
    golden_case_path(path, sizeof path, number, "logits/top_values");
    tell(to, path, &values);
    golden_case_path(path, sizeof path, number, "logits/lse");
    tell(to, path, &lse);
}

static void diff_case(const mv_golden *a, const mv_golden *b, size_t number, const differ *to)
{
    const mv_golden_case *x = &a->cases[number], *y = &b->cases[number];
    const size_t V = a->params.vocab_size;
    char path[96];
    golden_case_path(path, sizeof path, number, "");
    if (x->window != y->window)
        say(to, path, "window %lld and %lld", (long long)x->window, (long long)y->window);
    golden_case_path(path, sizeof path, number, "tokens");
    if (x->n_tokens != y->n_tokens ||
        memcmp(x->tokens, y->tokens, x->n_tokens * sizeof *x->tokens) != 0) {
        say(to, path, "other tokens (%zu and %zu): logits are not compared", x->n_tokens,
            y->n_tokens);
        return;
    }
    if (V != b->params.vocab_size)
        return; /* said before */
    golden_case_path(path, sizeof path, number, "logits/positions");
    if (x->n_positions != y->n_positions ||
        memcmp(x->positions, y->positions, x->n_positions * sizeof *x->positions) != 0)
        say(to, path, "%zu and %zu rows: common ones are compared", x->n_positions, y->n_positions);
    golden_case_path(path, sizeof path, number, "logits/oracle");
    diff_oracle(x, y, V, path, to);
    diff_summaries(x, y, number, to);
}

void mv_golden_diff(const mv_golden *a, const mv_golden *b,
                    void (*each)(void *cookie, const mv_golden_difference *difference),
                    void *cookie)
{
    const differ to = {each, cookie};
    diff_model(a, b, &to);
    if (a->n_cases != b->n_cases)
        say(&to, "/cases", "%zu and %zu cases: the first are compared", a->n_cases, b->n_cases);
    for (size_t i = 0; i < a->n_cases && i < b->n_cases; i++)
        diff_case(a, b, i, &to);
}
