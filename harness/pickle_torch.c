/* pickle_torch.c - what a pickle's values mean in a torch checkpoint: the whitelist, storages,
 * tensors, the state dict. The stack machine is pickle.c.
 */
#include <stdlib.h>
#include <string.h>

#include "harness/pickle_value.h"
#include "harness/quote.h"
#include "harness/tensor_file.h"

/* ---- the whitelist ---- */

static const pickle_global globals[] = {
    {"torch._utils", "_rebuild_tensor_v2", GLOBAL_REBUILD, MV_DTYPE_F32},
    {"collections", "OrderedDict", GLOBAL_ORDERED_DICT, MV_DTYPE_F32},
    {"torch", "BFloat16Storage", GLOBAL_STORAGE, MV_DTYPE_BF16},
    {"torch", "HalfStorage", GLOBAL_STORAGE, MV_DTYPE_F16},
    {"torch", "FloatStorage", GLOBAL_STORAGE, MV_DTYPE_F32},
};

mv_code pickle_find_global(const pickle_global **global, const char *module, const char *name,
                           pickle_reason *reason)
{
    static const char storage[] = "Storage";
    const size_t n_name = strlen(name), n_storage = sizeof storage - 1;
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++)
        if (strcmp(globals[i].module, module) == 0 && strcmp(globals[i].name, name) == 0) {
            *global = &globals[i];
            return MV_OK;
        }
    mv_quoted quoted = mv_quote(name, n_name);
    if (strcmp(module, "torch") == 0 && n_name > n_storage &&
        strcmp(name + n_name - n_storage, storage) == 0)
        return pickle_refuse(reason, MV_ERR_UNSUPPORTED,
                             "tensors of torch's %s, expected BFloat16Storage, HalfStorage or "
                             "FloatStorage",
                             quoted.text);
    return pickle_refuse(reason, MV_ERR_FORMAT,
                         "asks for %s of module %s: refused; a state dict of plain bf16, f16 or "
                         "f32 tensors does not need it",
                         quoted.text, mv_quote(module, strlen(module)).text);
}

/* ---- storages and tensors ---- */

mv_code pickle_load_storage(pickle_value *result, const pickle_value *id, pickle_reason *reason)
{
    if (id->kind != PICKLE_TUPLE || id->tuple.n_items != 5)
        return pickle_refuse(reason, MV_ERR_FORMAT,
                             "a persistent id is not (\"storage\", class, key, location, numel)");
    pickle_value *const *item = id->tuple.items;
    if (item[0]->kind != PICKLE_TEXT || strcmp(item[0]->text.bytes, "storage") != 0 ||
        item[1]->kind != PICKLE_GLOBAL || item[1]->global->role != GLOBAL_STORAGE ||
        item[2]->kind != PICKLE_TEXT || item[2]->text.size == 0 || item[3]->kind != PICKLE_TEXT ||
        item[4]->kind != PICKLE_INTEGER || item[4]->integer < 0)
        return pickle_refuse(reason, MV_ERR_FORMAT,
                             "a persistent id holds (%s, %s, %s, %s, %s), expected (\"storage\", "
                             "a storage class, key, location, numel >= 0)",
                             pickle_kind_name(item[0]), pickle_kind_name(item[1]),
                             pickle_kind_name(item[2]), pickle_kind_name(item[3]),
                             pickle_kind_name(item[4]));
    result->kind = PICKLE_STORAGE;
    result->storage.dtype = item[1]->global->dtype;
    result->storage.key = item[2]->text.bytes;
    result->storage.numel = (uint64_t)item[4]->integer;
    return MV_OK;
}

/* Keeps the first two of a tuple of numbers >= 0. */
static bool read_dims(uint64_t dims[2], const pickle_value *tuple)
{
    dims[0] = dims[1] = 1;
    for (size_t i = 0; i < tuple->tuple.n_items; i++) {
        const pickle_value *item = tuple->tuple.items[i];
        if (item->kind != PICKLE_INTEGER || item->integer < 0)
            return false;
        if (i < 2)
            dims[i] = (uint64_t)item->integer;
    }
    return true;
}

/* A seventh argument would say that the tensor is a conjugate or negative view: its numbers are
 * not those in the storage. */
static mv_code rebuild_tensor(pickle_value *result, const pickle_value *args, pickle_reason *reason)
{
    if (args->tuple.n_items != 6)
        return pickle_refuse(reason, MV_ERR_FORMAT,
                             "_rebuild_tensor_v2 with %zu arguments, expected 6",
                             args->tuple.n_items);
    pickle_value *const *arg = args->tuple.items;
    if (arg[0]->kind != PICKLE_STORAGE || arg[1]->kind != PICKLE_INTEGER || arg[1]->integer < 0 ||
        arg[2]->kind != PICKLE_TUPLE || arg[3]->kind != PICKLE_TUPLE ||
        arg[4]->kind != PICKLE_BOOL || arg[5]->kind != PICKLE_DICT)
        return pickle_refuse(reason, MV_ERR_FORMAT,
                             "_rebuild_tensor_v2(%s, %s, %s, %s, %s, %s), expected (storage, "
                             "offset >= 0, shape, stride, requires_grad, hooks)",
                             pickle_kind_name(arg[0]), pickle_kind_name(arg[1]),
                             pickle_kind_name(arg[2]), pickle_kind_name(arg[3]),
                             pickle_kind_name(arg[4]), pickle_kind_name(arg[5]));
    if (arg[5]->dict.n_entries != 0)
        return pickle_refuse(reason, MV_ERR_FORMAT, "a tensor with backward hooks");
    result->kind = PICKLE_TENSOR;
    result->tensor.storage = arg[0];
    result->tensor.offset = (uint64_t)arg[1]->integer;
    result->tensor.n_dims = arg[2]->tuple.n_items;
    if (!read_dims(result->tensor.shape, arg[2]) || !read_dims(result->tensor.stride, arg[3]))
        return pickle_refuse(reason, MV_ERR_FORMAT,
                             "a shape or stride holds other than integers >= 0");
    if (arg[3]->tuple.n_items != arg[2]->tuple.n_items)
        return pickle_refuse(reason, MV_ERR_FORMAT, "a shape of %zu dimensions has %zu strides",
                             arg[2]->tuple.n_items, arg[3]->tuple.n_items);
    return MV_OK;
}

mv_code pickle_call(pickle_value *result, const pickle_value *callable, const pickle_value *args,
                    pickle_reason *reason)
{
    if (callable->kind != PICKLE_GLOBAL || callable->global->role == GLOBAL_STORAGE ||
        args->kind != PICKLE_TUPLE)
        return pickle_refuse(reason, MV_ERR_FORMAT,
                             "calls %s with %s, expected _rebuild_tensor_v2 or OrderedDict with a "
                             "tuple",
                             pickle_kind_name(callable), pickle_kind_name(args));
    if (callable->global->role == GLOBAL_REBUILD)
        return rebuild_tensor(result, args, reason);
    if (args->tuple.n_items != 0)
        return pickle_refuse(reason, MV_ERR_FORMAT, "OrderedDict with %zu arguments, expected none",
                             args->tuple.n_items);
    result->kind = PICKLE_DICT;
    result->dict.ordered = true;
    return MV_OK;
}

mv_code pickle_build(const pickle_value *object, const pickle_value *state, pickle_reason *reason)
{
    if (object->kind != PICKLE_DICT || !object->dict.ordered || state->kind != PICKLE_DICT)
        return pickle_refuse(reason, MV_ERR_FORMAT,
                             "gives %s attributes from %s, expected an OrderedDict and a dict",
                             pickle_kind_name(object), pickle_kind_name(state));
    for (const pickle_entry *entry = state->dict.first; entry != NULL; entry = entry->next) {
        const pickle_value *key = entry->key;
        if (key->kind != PICKLE_TEXT)
            return pickle_refuse(reason, MV_ERR_FORMAT,
                                 "%s as an attribute's name, expected a text",
                                 pickle_kind_name(key));
        if (strcmp(key->text.bytes, "_metadata") != 0)
            return pickle_refuse(reason, MV_ERR_FORMAT,
                                 "gives the dict an attribute %s, expected only \"_metadata\"",
                                 mv_quote(key->text.bytes, key->text.size).text);
    }
    return MV_OK;
}

/* ---- the state dict ---- */

/* Every product and sum checked: the numbers are a stranger's. */
static mv_code check_extent(const mv_pickle_tensor *tensor, pickle_reason *reason)
{
    mv_quoted name = mv_quote(tensor->name, strlen(tensor->name));
    uint64_t numel = 0, size_bytes = 0, last = tensor->storage_offset;
    bool overflow = __builtin_mul_overflow(tensor->shape[0], tensor->shape[1], &numel) ||
                    __builtin_mul_overflow(numel, mv_dtype_size(tensor->dtype), &size_bytes);
    if (overflow || numel == 0)
        return pickle_refuse(reason, MV_ERR_FORMAT, "tensor %s: %s (shape [%llu, %llu])", name.text,
                             overflow ? "its size does not fit in 64 bits" : "it has no elements",
                             (unsigned long long)tensor->shape[0],
                             (unsigned long long)tensor->shape[1]);
    for (int d = 0; d < 2; d++) {
        uint64_t way = 0;
        overflow = overflow ||
                   __builtin_mul_overflow(tensor->shape[d] - 1, tensor->stride[d], &way) ||
                   __builtin_add_overflow(last, way, &last);
    }
    if (overflow || last >= tensor->storage_numel)
        return pickle_refuse(
            reason, MV_ERR_FORMAT,
            "tensor %s: offset %llu, shape [%llu, %llu] and stride [%llu, %llu] "
            "reach beyond its storage of %llu elements",
            name.text, (unsigned long long)tensor->storage_offset,
            (unsigned long long)tensor->shape[0], (unsigned long long)tensor->shape[1],
            (unsigned long long)tensor->stride[0], (unsigned long long)tensor->stride[1],
            (unsigned long long)tensor->storage_numel);
    if (numel > tensor->storage_numel)
        return pickle_refuse(reason, MV_ERR_UNSUPPORTED,
                             "tensor %s: an expanded view, %llu elements from a storage of %llu; "
                             "save it with .contiguous()",
                             name.text, (unsigned long long)numel,
                             (unsigned long long)tensor->storage_numel);
    return MV_OK;
}

static mv_code collect_entry(mv_pickle_tensor *tensor, const pickle_entry *entry,
                             pickle_reason *reason)
{
    const pickle_value *key = entry->key, *value = entry->value;
    if (key->kind != PICKLE_TEXT)
        return pickle_refuse(reason, MV_ERR_UNSUPPORTED,
                             "the dict has %s (%lld) as a key, expected names of tensors",
                             pickle_kind_name(key), (long long)key->integer);
    mv_quoted name = mv_quote(key->text.bytes, key->text.size);
    if (key->text.size == 0)
        return pickle_refuse(reason, MV_ERR_FORMAT, "a tensor has no name");
    if (value->kind == PICKLE_DICT)
        return pickle_refuse(reason, MV_ERR_UNSUPPORTED,
                             "key %s holds a dict, expected a tensor: save the inner state dict by "
                             "itself",
                             name.text);
    if (value->kind != PICKLE_TENSOR)
        return pickle_refuse(reason, MV_ERR_UNSUPPORTED,
                             "key %s holds %s, expected a tensor: save the tensors alone",
                             name.text, pickle_kind_name(value));
    if (value->tensor.n_dims != 1 && value->tensor.n_dims != 2)
        return pickle_refuse(reason, MV_ERR_UNSUPPORTED,
                             "tensor %s has %zu dimensions, expected 1 or 2", name.text,
                             value->tensor.n_dims);
    *tensor = (mv_pickle_tensor){
        .name = key->text.bytes,
        .storage_key = value->tensor.storage->storage.key,
        .storage_numel = value->tensor.storage->storage.numel,
        .storage_offset = value->tensor.offset,
        .shape = {value->tensor.shape[0], value->tensor.shape[1]},
        .stride = {value->tensor.stride[0], value->tensor.stride[1]},
        .n_dims = (uint32_t)value->tensor.n_dims,
        .dtype = value->tensor.storage->storage.dtype,
    };
    return check_extent(tensor, reason);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const mv_pickle_tensor *)a)->name, ((const mv_pickle_tensor *)b)->name);
}

mv_code pickle_collect(mv_pickle_tensor **tensors, size_t *n_tensors, const pickle_value *top,
                       pickle_reason *reason)
{
    if (top->kind != PICKLE_DICT)
        return pickle_refuse(reason, MV_ERR_UNSUPPORTED,
                             "holds %s, expected a dict of named tensors (a state dict)",
                             pickle_kind_name(top));
    size_t n = top->dict.n_entries, i = 0;
    if (n == 0)
        return pickle_refuse(reason, MV_ERR_FORMAT, "the dict is empty, expected named tensors");
    mv_pickle_tensor *list = calloc(n, sizeof *list);
    if (list == NULL)
        return pickle_refuse(reason, MV_ERR_MEMORY, "out of memory for %zu tensors", n);
    mv_code code = MV_OK;
    for (const pickle_entry *entry = top->dict.first; entry != NULL; entry = entry->next)
        if ((code = collect_entry(&list[i++], entry, reason)) != MV_OK)
            goto fail;
    qsort(list, n, sizeof *list, compare_names);
    for (i = 1; i < n; i++)
        if (compare_names(&list[i - 1], &list[i]) == 0) {
            code = pickle_refuse(reason, MV_ERR_FORMAT, "two tensors are named %s",
                                 mv_quote(list[i].name, strlen(list[i].name)).text);
            goto fail;
        }
    *tensors = list;
    *n_tensors = n;
    return MV_OK;
fail:
    free(list);
    return code;
}
