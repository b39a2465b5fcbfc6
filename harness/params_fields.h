/* params_fields.h - what params.c and params_config.c share: the limits of each number, and the
 * checks across them with the code that suits the source. Private to those two.
 */
#ifndef MV_HARNESS_PARAMS_FIELDS_H
#define MV_HARNESS_PARAMS_FIELDS_H

#include "harness/params.h"

/* Beyond these a number is a mistake, or an attempt to make us allocate. With them every product
 * of two fits in 64 bits, and heads * head_dim (at most MAX_DIM, too) in 32. */
enum {
    MV_PARAMS_MAX_DIM = 1000000,
    MV_PARAMS_MAX_LAYERS = 10000,
    MV_PARAMS_MAX_WINDOW = INT32_MAX,
    MV_PARAMS_MAX_FILE = 1 << 20 /* bytes of params.json or config.json */
};
#define MV_PARAMS_MAX_THETA 1e30

/* mv_params_check() with the caller's code: MV_ERR_FORMAT for a file, MV_ERR_ARGUMENT for a spec.
 */
MV_MUST_CHECK mv_code mv_params_check_as(mv_code failure, const mv_params *params,
                                         const char *where, mv_error *error);

#endif
