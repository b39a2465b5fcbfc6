/* seams_memory.c - a call as its caller sees it: what it writes, and where. Part of mutant.c. */

static size_t n_tokens_of(const mv_batch *batch)
{
    size_t n = 0;
    for (uint32_t i = 0; i < batch->n_sequences; i++)
        n += batch->n_tokens[i];
    return n;
}

/* What an engine does to memory that is not its own. A caller whose rows have no room around them
 * is not safe from these; the suites' have. */
static void write_elsewhere(const mv_engine *e, const mv_batch *batch, float *logits,
                            size_t n_logits)
{
    static const float written = 1;
    int32_t *lent;
    switch (planted(e)) {
    case FAULT_logits_written_past:
        logits[n_logits] = written;
        return;
    case FAULT_logits_written_before:
        memcpy(logits - 1, &written, sizeof written);
        return;
    case FAULT_logits_padded_to_tile:
        for (size_t i = 0; (e->p.vocab_size + i) % 16 != 0; i++)
            logits[n_logits + i] = 0;
        return;
    case FAULT_tokens_written:
        memcpy(&lent, &batch->tokens, sizeof lent);
        lent[n_tokens_of(batch) - 1] = 0;
        return;
    default:
        return;
    }
}

static mv_code forward(mv_engine *e, const mv_batch *batch, mv_logits which, float *logits,
                       mv_error *error)
{
    const size_t n_rows = which == MV_LOGITS_ALL    ? n_tokens_of(batch)
                          : which == MV_LOGITS_LAST ? batch->n_sequences
                                                    : 0;
    const size_t n_logits = n_rows * e->p.vocab_size;
    float last = 0;
    if (n_logits > 0)
        memcpy(&last, logits + n_logits - 1, sizeof last);
    plan_of(e)->asked = which;
    mutant_n_calls++;
    mv_code code = correct_forward(e, batch, which, logits, error);
    if (code != MV_OK || n_logits == 0)
        return code;
    if (planted(e) == FAULT_row_end_not_written && n_rows > 1)
        memcpy(logits + n_logits - 1, &last, sizeof last);
    write_elsewhere(e, batch, logits, n_logits);
    return code;
}
