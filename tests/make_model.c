#include "tests/make_model.h"

#include <check.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_SHARDS = 2, MAX_HEADER = 1 << 16 };

/* The names and shapes are spelled out once more, on purpose: code shared with the reader could
 * not disagree with it. */
typedef struct tensor {
    char name[96], file_name[96];
    uint64_t n_rows, n_cols; /* n_cols 0: one dimension */
    uint32_t n_heads;        /* of q and k; 0 else */
} tensor;

mv_params make_small_params(void)
{
    return (mv_params){.dim = 24,
                       .n_layers = 2,
                       .head_dim = 4,
                       .hidden_dim = 20,
                       .n_heads = 6,
                       .n_kv_heads = 2,
                       .vocab_size = 11,
                       .sliding_window = 7,
                       .norm_eps = 1e-5,
                       .rope_theta = 1e4};
}

uint32_t make_bits(const char *name, uint64_t index, mv_dtype dtype)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a over the name and the index */
    for (; *name != '\0'; name++) {
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    }
    for (int i = 0; i < 8; i++) {
        h = (h ^ (index >> (8 * i) & 0xff)) * 1099511628211u;
    }
    uint32_t bits = (uint32_t)(h >> 32);
    return dtype == MV_DTYPE_F32 ? bits : bits >> 16;
}

char *make_folder(void)
{
    const char *parent = getenv("TMPDIR");
    char *folder = NULL;
    ck_assert_int_ge(asprintf(&folder, "%s/mv-test-XXXXXX", parent != NULL ? parent : "/tmp"), 0);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    return folder;
}

void make_folder_remove(char *folder)
{
    DIR *entries = opendir(folder);
    ck_assert_ptr_nonnull(entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            ck_assert_int_eq(unlinkat(dirfd(entries), entry->d_name, 0), 0);
        }
    }
    ck_assert_int_eq(closedir(entries), 0);
    ck_assert_int_eq(rmdir(folder), 0);
    free(folder);
}

char *make_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char *path = NULL;
    ck_assert_int_ge(asprintf(&path, "%s/%s", folder, name), 0);
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "cannot create %s", path);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

static void add(tensor *list, size_t *n, bool hf, const char *name, const char *hf_name,
                uint64_t n_rows, uint64_t n_cols, uint32_t n_heads)
{
    tensor *t = &list[(*n)++];
    (void)snprintf(t->name, sizeof t->name, "%s.weight", name);
    (void)snprintf(t->file_name, sizeof t->file_name, "%s.weight", hf ? hf_name : name);
    t->n_rows = n_rows;
    t->n_cols = n_cols;
    t->n_heads = n_heads;
}

static void add_layer(tensor *list, size_t *n, bool hf, uint32_t layer, const mv_params *p)
{
    const uint64_t q = (uint64_t)p->n_heads * p->head_dim,
                   k = (uint64_t)p->n_kv_heads * p->head_dim;
    const struct {
        const char *name, *hf_name;
        uint64_t n_rows, n_cols;
        uint32_t n_heads;
    } rows[] = {
        {"attention.wq", "self_attn.q_proj", q, p->dim, p->n_heads},
        {"attention.wk", "self_attn.k_proj", k, p->dim, p->n_kv_heads},
        {"attention.wv", "self_attn.v_proj", k, p->dim, 0},
        {"attention.wo", "self_attn.o_proj", p->dim, q, 0},
        {"feed_forward.w1", "mlp.gate_proj", p->hidden_dim, p->dim, 0},
        {"feed_forward.w2", "mlp.down_proj", p->dim, p->hidden_dim, 0},
        {"feed_forward.w3", "mlp.up_proj", p->hidden_dim, p->dim, 0},
        {"attention_norm", "input_layernorm", p->dim, 0, 0},
        {"ffn_norm", "post_attention_layernorm", p->dim, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[64], hf_name[64];
        (void)snprintf(name, sizeof name, "layers.%u.%s", layer, rows[i].name);
        (void)snprintf(hf_name, sizeof hf_name, "model.layers.%u.%s", layer, rows[i].hf_name);
        add(list, n, hf, name, hf_name, rows[i].n_rows, rows[i].n_cols, rows[i].n_heads);
    }
}

static size_t list_tensors(tensor *list, const make_options *o)
{
    const mv_params *p = &o->params;
    bool hf = o->layout != MAKE_MISTRAL;
    size_t n = 0, n_kept = 0;
    add(list, &n, hf, "tok_embeddings", "model.embed_tokens", p->vocab_size, p->dim, 0);
    add(list, &n, hf, "norm", "model.norm", p->dim, 0, 0);
    if (!o->tied) {
        add(list, &n, hf, "output", "lm_head", p->vocab_size, p->dim, 0);
    }
    for (uint32_t layer = 0; layer < p->n_layers; layer++) {
        add_layer(list, &n, hf, layer, p);
    }
    if (o->extra != NULL) {
        add(list, &n, false, "extra", "", 2, 0, 0);
        (void)snprintf(list[n - 1].file_name, sizeof list->file_name, "%s", o->extra);
    }
    for (size_t i = 0; i < n; i++) {
        if (o->reshape != NULL && strcmp(list[i].file_name, o->reshape) == 0) {
            list[i].n_rows--;
        }
        if (o->omit == NULL || strcmp(list[i].file_name, o->omit) != 0) {
            list[n_kept++] = list[i];
        }
    }
    return n_kept;
}

/* Row of the Mistral layout that stands at this row of the Hugging Face layout: there, a head has
 * first the even rows of here, then the odd ones. */
static uint64_t mistral_row(uint64_t row, uint64_t n_rows, uint32_t n_heads)
{
    uint64_t head_dim = n_rows / n_heads, head = row / head_dim, at = row % head_dim;
    return head * head_dim + (at < head_dim / 2 ? 2 * at : 2 * (at - head_dim / 2) + 1);
}

static char *put_data(char *to, const tensor *t, const make_options *o)
{
    const uint64_t n_cols = t->n_cols == 0 ? 1 : t->n_cols;
    const size_t element = o->dtype == MV_DTYPE_F32 ? 4 : 2;
    for (uint64_t row = 0; row < t->n_rows; row++) {
        uint64_t from = o->layout != MAKE_MISTRAL && t->n_heads > 0
                            ? mistral_row(row, t->n_rows, t->n_heads)
                            : row;
        for (uint64_t col = 0; col < n_cols; col++) {
            uint32_t bits = make_bits(t->name, from * n_cols + col, o->dtype);
            memcpy(to, &bits, element); /* little-endian: the low bytes */
            to += element;
        }
    }
    return to;
}

static void write_safetensors(const char *folder, const char *name, const tensor *const *list,
                              size_t n, const make_options *o)
{
    static const char *const dtypes[] = {"F32", "F16", "BF16"};
    const size_t element = o->dtype == MV_DTYPE_F32 ? 4 : 2;
    char header[MAX_HEADER];
    size_t length =
        (size_t)snprintf(header, sizeof header, "{\"__metadata__\":{\"format\":\"pt\"}");
    size_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        const tensor *t = list[i];
        char shape[64];
        (void)snprintf(shape, sizeof shape, t->n_cols == 0 ? "[%llu]" : "[%llu,%llu]",
                       (unsigned long long)t->n_rows, (unsigned long long)t->n_cols);
        size_t size = t->n_rows * (t->n_cols == 0 ? 1 : t->n_cols) * element;
        length +=
            (size_t)snprintf(header + length, sizeof header - length,
                             ",\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                             t->file_name, dtypes[o->dtype], shape, offset, offset + size);
        ck_assert_uint_lt(length, sizeof header - 16);
        offset += size;
    }
    header[length++] = '}';
    while (length % 8 != (o->misalign ? 1 : 0)) {
        header[length++] = ' ';
    }
    char *bytes = malloc(8 + length + offset);
    ck_assert_ptr_nonnull(bytes);
    uint64_t length_u64 = length;
    memcpy(bytes, &length_u64, 8);
    memcpy(bytes + 8, header, length);
    char *to = bytes + 8 + length;
    for (size_t i = 0; i < n; i++) {
        to = put_data(to, list[i], o);
    }
    free(make_file(folder, name, bytes, 8 + length + offset));
    free(bytes);
}

static void write_text(const char *folder, const char *name, const char *text)
{
    free(make_file(folder, name, text, strlen(text)));
}

static void write_params(const char *folder, const make_options *o)
{
    const mv_params *p = &o->params;
    char text[2048], window[32] = "null";
    if (p->sliding_window > 0) {
        (void)snprintf(window, sizeof window, "%u", p->sliding_window);
    }
    if (o->layout == MAKE_MISTRAL) {
        (void)snprintf(text, sizeof text,
                       "{\"dim\":%u,\"n_layers\":%u,\"head_dim\":%u,\"hidden_dim\":%u,"
                       "\"n_heads\":%u,\"n_kv_heads\":%u,\"vocab_size\":%u,\"norm_eps\":%.17g,"
                       "\"sliding_window\":%s,\"rope_theta\":%.17g}",
                       p->dim, p->n_layers, p->head_dim, p->hidden_dim, p->n_heads, p->n_kv_heads,
                       p->vocab_size, p->norm_eps, window, p->rope_theta);
        write_text(folder, "params.json", text);
        return;
    }
    (void)snprintf(text, sizeof text,
                   "{\"model_type\":\"mistral\",\"hidden_size\":%u,\"num_hidden_layers\":%u,"
                   "\"head_dim\":%u,\"intermediate_size\":%u,\"num_attention_heads\":%u,"
                   "\"num_key_value_heads\":%u,\"vocab_size\":%u,\"rms_norm_eps\":%.17g,"
                   "\"sliding_window\":%s,\"rope_theta\":%.17g,\"hidden_act\":\"silu\","
                   "\"tie_word_embeddings\":%s}",
                   p->dim, p->n_layers, p->head_dim, p->hidden_dim, p->n_heads, p->n_kv_heads,
                   p->vocab_size, p->norm_eps, window, p->rope_theta, o->tied ? "true" : "false");
    write_text(folder, "config.json", text);
}

/* Tensor i goes to shard i mod N_SHARDS. */
static void write_shards(const char *folder, const tensor *list, size_t n, const make_options *o)
{
    char index[MAX_HEADER];
    const tensor **part = malloc((n + 1) * sizeof *part);
    ck_assert_ptr_nonnull(part);
    size_t length = (size_t)snprintf(index, sizeof index, "{\"metadata\":{},\"weight_map\":{");
    for (size_t shard = 0; shard < N_SHARDS; shard++) {
        char name[64];
        size_t n_part = 0;
        (void)snprintf(name, sizeof name, "model-%05zu-of-%05d.safetensors", shard + 1, N_SHARDS);
        for (size_t i = shard; i < n; i += N_SHARDS) {
            length += (size_t)snprintf(index + length, sizeof index - length, "%s\"%s\":\"%s\"",
                                       i == 0 ? "" : ",", list[i].file_name, name);
            ck_assert_uint_lt(length, sizeof index - 16);
            part[n_part++] = &list[i];
        }
        if (o->repeat_last && shard == N_SHARDS - 1) {
            part[n_part++] = &list[0];
        }
        write_safetensors(folder, name, part, n_part, o);
    }
    (void)snprintf(index + length, sizeof index - length, "}}");
    write_text(folder, "model.safetensors.index.json", index);
    free(part);
}

void make_model(const char *folder, const make_options *o)
{
    size_t capacity = 4 + 9 * (size_t)o->params.n_layers;
    tensor *list = calloc(capacity, sizeof *list);
    const tensor **all = calloc(capacity, sizeof *all);
    ck_assert(list != NULL && all != NULL);
    size_t n = list_tensors(list, o);
    for (size_t i = 0; i < n; i++) {
        all[i] = &list[i];
    }
    write_params(folder, o);
    if (o->layout == MAKE_HF_SHARDS) {
        write_shards(folder, list, n, o);
    } else {
        write_safetensors(folder,
                          o->layout == MAKE_HF ? "model.safetensors" : "consolidated.safetensors",
                          all, n, o);
    }
    free(all);
    free(list);
}
