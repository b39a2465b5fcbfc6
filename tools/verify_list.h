/* verify_list.h - `mistral-verify --list`. */
#ifndef MV_TOOLS_VERIFY_LIST_H
#define MV_TOOLS_VERIFY_LIST_H

#include "backends/mistral_backend.h"

/* Suites, formats and backends, and why a backend cannot be used; to stdout. */
MV_MUST_CHECK mv_code mv_verify_list(mv_error *error);

#endif
