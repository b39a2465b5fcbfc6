/* fuzz_hdf5.h - a stand-in for HDF5's files: a golden's objects in a form that a fuzzer can change.
 *
 * HDF5's own parser is not ours, and does not survive what a fuzzer does to it. So the linker puts
 * fuzz_hdf5.c in the place of the functions that open files, datasets and attributes; types and
 * dataspaces stay HDF5's. What a hostile file could make HDF5 answer, this can answer too: any
 * type, rank, length and path, and fewer values than promised (zeros then).
 *
 * A file is a list of objects, in any order:
 *   the 4 bytes C1 'o' 'b' 'j', then
 *   kind ('D' dataset or 'A' attribute), length of the path, path ("/model@dim" for an attribute),
 *   type (index in the table in fuzz_hdf5.c), size of a text (2 bytes), rank (0 to 3), as many
 *   numbers of 4 bytes (FFFFFFFF: 2^62), and values up to the next object. All little-endian.
 */
#ifndef MV_TESTS_FUZZ_HDF5_H
#define MV_TESTS_FUZZ_HDF5_H

#include <stdbool.h>

/* For the next file that is opened. Unless told otherwise, the index is made so that it vouches
 * for all that is in the file; the rows of an /index in the file are added to it. */
typedef struct fuzz_hdf5_mode {
    bool own_index; /* the file's own, unchanged */
    bool own_root;  /* the file's own merkle_root */
} fuzz_hdf5_mode;

extern fuzz_hdf5_mode fuzz_hdf5_next;

#endif
