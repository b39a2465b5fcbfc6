/* synthetic.h - models made in memory from a counter-based hash: no download, no file, and the
 * same bits on every machine and in every language.
 *
 * Element i of a tensor whose name hashes to t, under seed s, is a function of (s, t, i) alone, so
 * any part can be made anywhere (on a GPU, too) without the rest: see mv_synthetic_bits().
 */
#ifndef MV_HARNESS_SYNTHETIC_H
#define MV_HARNESS_SYNTHETIC_H

#include <stdbool.h>

#include "backends/mistral_backend.h"

typedef struct mv_synthetic mv_synthetic;

bool mv_synthetic_is_spec(const char *spec); /* begins with "synthetic:" */

/* spec: "synthetic:NAME[,key=value...]": any key of params.json, and seed=N. Names:
 *   probe  small, bf16, window 8, 4 layers, conditioned so that every planted bug shows: sharpened
 *          wq and wk, norms away from 1, heads that differ
 *   7b     the shapes of Mistral-7B v0.1 in bf16, with weights of a realistic size
 * MV_ERR_ARGUMENT: unknown name or key. MV_ERR_MEMORY: says how much it would take, before it
 * takes any. Yours: free with mv_synthetic_close(). */
MV_MUST_CHECK mv_code mv_synthetic_open(mv_synthetic **synthetic, const char *spec,
                                        mv_error *error);
const mv_model_view *mv_synthetic_get_view(const mv_synthetic *synthetic);
void mv_synthetic_close(mv_synthetic **synthetic);

/* The generator: 64 well-mixed bits for element index of stream (splitmix64's finaliser over
 * seed, stream and index; Steele, Lea and Flood 2014). */
uint64_t mv_synthetic_bits(uint64_t seed, uint64_t stream, uint64_t index);

/* n token ids, uniform over the vocabulary, from the same generator. */
void mv_synthetic_tokens(int32_t *tokens, size_t n, uint32_t vocab_size, uint64_t seed);

#endif
