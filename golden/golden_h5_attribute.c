/* golden_h5_attribute.c - attributes: one text, whole number or real each. */
#include <stdlib.h>
#include <string.h>

#include "golden/golden_private.h"

/* The index is about paths, and merkle_root is about the index. */
static bool is_indexed(const char *group, const char *key)
{
    return strcmp(group, "/") != 0 || strcmp(key, "merkle_root") != 0;
}

/* ---- writing ---- */

static void put_attribute(golden_file *file, const char *group, const char *key, hid_t type,
                          const void *data)
{
    char path[160];
    if (file->code != MV_OK)
        return;
    (void)snprintf(path, sizeof path, "%s@%s", group, key);
    hid_t object = H5Oopen(file->id, group, H5P_DEFAULT), space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, key, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, type, data) < 0)
        golden_fail(file, path, "cannot be written");
    if (attribute >= 0)
        (void)H5Aclose(attribute);
    (void)H5Sclose(space);
    if (object >= 0)
        (void)H5Oclose(object);
}

void golden_put_text(golden_file *file, const char *group, const char *key, const char *text)
{
    const size_t size = strlen(text);
    hid_t type = H5Tcopy(H5T_C_S1);
    (void)H5Tset_size(type, size > 0 ? size : 1);
    (void)H5Tset_strpad(type, H5T_STR_NULLPAD);
    (void)H5Tset_cset(type, H5T_CSET_UTF8);
    put_attribute(file, group, key, type, text);
    (void)H5Tclose(type);
    if (is_indexed(group, key))
        golden_add_attribute(file, group, key, text, size);
}

void golden_put_int(golden_file *file, const char *group, const char *key, int64_t value)
{
    put_attribute(file, group, key, H5T_STD_I64LE, &value);
    golden_add_attribute(file, group, key, &value, sizeof value);
}

void golden_put_real(golden_file *file, const char *group, const char *key, double value)
{
    put_attribute(file, group, key, H5T_IEEE_F64LE, &value);
    golden_add_attribute(file, group, key, &value, sizeof value);
}

/* ---- reading ---- */

/* *type: of the file; both yours. < 0: it is not there, or no scalar of the class; said so. */
static hid_t open_attribute(golden_file *file, const char *group, const char *key, H5T_class_t kind,
                            hid_t *type)
{
    char path[160];
    if (file->code != MV_OK)
        return -1;
    (void)snprintf(path, sizeof path, "%s@%s", group, key);
    hid_t attribute = H5Aopen_by_name(file->id, group, key, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0) {
        golden_fail(file, path, "missing");
        return -1;
    }
    *type = H5Aget_type(attribute);
    hid_t space = H5Aget_space(attribute);
    if (H5Tget_class(*type) != kind || H5Sget_simple_extent_npoints(space) != 1)
        golden_fail(file, path, "expected one %s",
                    kind == H5T_STRING    ? "text"
                    : kind == H5T_INTEGER ? "whole number"
                                          : "real number");
    else if (kind == H5T_STRING && H5Tis_variable_str(*type) > 0)
        golden_fail(file, path, "expected a text of fixed length");
    (void)H5Sclose(space);
    if (file->code == MV_OK)
        return attribute;
    (void)H5Tclose(*type);
    (void)H5Aclose(attribute);
    return -1;
}

void golden_get_text(golden_file *file, const char *group, const char *key, char *text, size_t size)
{
    hid_t type = -1, attribute = open_attribute(file, group, key, H5T_STRING, &type);
    char path[160], *buffer = NULL;
    text[0] = '\0';
    if (attribute < 0)
        return;
    (void)snprintf(path, sizeof path, "%s@%s", group, key);
    const size_t stored = H5Tget_size(type);
    if (stored > 1 << 16)
        golden_fail(file, path, "a text of %zu bytes", stored);
    else
        buffer = calloc(stored + 1, 1);
    if (buffer != NULL && H5Aread(attribute, type, buffer) < 0)
        golden_fail(file, path, "cannot be read");
    (void)H5Tclose(type);
    (void)H5Aclose(attribute);
    if (buffer != NULL && file->code == MV_OK) {
        const size_t length = strlen(buffer);
        if (length >= size)
            golden_fail(file, path, "a text of %zu bytes, expected less than %zu", length, size);
        else
            memcpy(text, buffer, length + 1);
        if (is_indexed(group, key))
            golden_check_attribute(file, group, key, buffer, length);
    }
    free(buffer);
}

static void get_number(golden_file *file, const char *group, const char *key, H5T_class_t kind,
                       hid_t memory_type, void *value, size_t size)
{
    hid_t type = -1, attribute = open_attribute(file, group, key, kind, &type);
    char path[160];
    if (attribute < 0)
        return;
    (void)snprintf(path, sizeof path, "%s@%s", group, key);
    if (H5Aread(attribute, memory_type, value) < 0)
        golden_fail(file, path, "cannot be read");
    (void)H5Tclose(type);
    (void)H5Aclose(attribute);
    golden_check_attribute(file, group, key, value, size);
}

int64_t golden_get_int(golden_file *file, const char *group, const char *key)
{
    int64_t value = 0;
    get_number(file, group, key, H5T_INTEGER, H5T_NATIVE_INT64, &value, sizeof value);
    return value;
}

double golden_get_real(golden_file *file, const char *group, const char *key)
{
    double value = 0;
    get_number(file, group, key, H5T_FLOAT, H5T_NATIVE_DOUBLE, &value, sizeof value);
    return value;
}

/* ---- facts ---- */

static herr_t take_key(hid_t location, const char *key, const H5A_info_t *info, void *cookie)
{
    (void)location;
    (void)info;
    mv_environment_set(cookie, key, "?");
    return 0;
}

void golden_get_facts(golden_file *file, const char *group, mv_environment *facts)
{
    hsize_t at = 0;
    if (file->code != MV_OK)
        return;
    facts->n_facts = 0;
    if (H5Aiterate_by_name(file->id, group, H5_INDEX_NAME, H5_ITER_INC, &at, take_key, facts,
                           H5P_DEFAULT) < 0)
        golden_fail(file, group, "missing");
    for (size_t i = 0; i < facts->n_facts && file->code == MV_OK; i++)
        golden_get_text(file, group, facts->facts[i].key, facts->facts[i].value,
                        sizeof facts->facts[i].value);
}
