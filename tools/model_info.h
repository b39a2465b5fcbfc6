/* model_info.h - mistral-model info. Private to mistral_model.c. */
#ifndef MV_TOOLS_MODEL_INFO_H
#define MV_TOOLS_MODEL_INFO_H

#include <jansson.h>

#include "harness/model.h"
#include "tools/cli.h"

/* On stdout: text (--verbose: every tensor), or JSON with --format json. */
MV_MUST_CHECK mv_code mv_model_info(const mv_cli *cli, const mv_model *model, mv_error *error);

/* On stdout; takes the value over. */
void mv_print_json(json_t *value);

#endif
