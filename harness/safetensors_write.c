#include "harness/safetensors_write.h"

#include <stdlib.h>

#include "harness/out_file.h"

enum { LENGTH_SIZE = 8 };

static const char *dtype_word(mv_dtype dtype)
{
    return dtype == MV_DTYPE_F32 ? "F32" : dtype == MV_DTYPE_F16 ? "F16" : "BF16";
}

/* The names are ours (weights.c): nothing in them needs escaping. */
static void print_header(FILE *out, const mv_out_tensor *tensors, size_t n_tensors)
{
    uint64_t at = 0;
    fprintf(out, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < n_tensors; i++) {
        const mv_tensor *t = tensors[i].from;
        fprintf(out, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%llu", tensors[i].name,
                dtype_word(t->dtype), (unsigned long long)t->shape[0]);
        if (t->n_dims == 2)
            fprintf(out, ",%llu", (unsigned long long)t->shape[1]);
        fprintf(out, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                (unsigned long long)(at + t->size_bytes));
        at += t->size_bytes;
    }
    fputc('}', out);
    while (ftell(out) % 8 != 0)
        fputc(' ', out);
}

static mv_code write_header(mv_out_file *file, const mv_out_tensor *tensors, size_t n_tensors,
                            mv_error *error)
{
    unsigned char length[LENGTH_SIZE];
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out != NULL)
        print_header(out, tensors, n_tensors);
    if (out == NULL || fclose(out) != 0) {
        free(text);
        return mv_fail(error, MV_ERR_MEMORY, "%s: no memory for its header", file->path);
    }
    for (int i = 0; i < LENGTH_SIZE; i++)
        length[i] = (unsigned char)((uint64_t)size >> (8 * i));
    mv_code code = mv_out_file_write(file, length, sizeof length, error);
    if (code == MV_OK)
        code = mv_out_file_write(file, text, size, error);
    free(text);
    return code;
}

mv_code mv_safetensors_write(const char *path, const mv_out_tensor *tensors, size_t n_tensors,
                             const mv_write_watch *watch, mv_error *error)
{
    mv_out_file file;
    mv_code code = mv_out_file_create(&file, path, error);
    if (code != MV_OK)
        return code;
    code = write_header(&file, tensors, n_tensors, error);
    for (size_t i = 0; i < n_tensors && code == MV_OK; i++)
        code = mv_out_file_write_tensor(&file, &tensors[i], NULL, watch, error);
    if (code == MV_OK)
        code = mv_out_file_close(&file, error);
    mv_out_file_discard(&file);
    return code;
}
