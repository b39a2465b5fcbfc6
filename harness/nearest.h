/* nearest.h - "did you mean ...?" for keys, names and options. */
#ifndef MV_HARNESS_NEAREST_H
#define MV_HARNESS_NEAREST_H

#include <stddef.h>

/* The one of names[n] that word was probably meant to be, or NULL if none is near. Letter case and
 * '-' against '_' do not count; a beginning of three letters or more ("ref") is near to the whole
 * name. The earlier name wins a tie. NULL entries are skipped. */
const char *mv_nearest(const char *word, const char *const *names, size_t n);

#endif
