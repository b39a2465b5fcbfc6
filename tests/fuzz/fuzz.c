#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

bool fuzz_everything;

bool fuzz_is_chosen(const uint8_t *data, size_t size)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ data[i]) * 16777619U;
    return fuzz_everything || (hash >> 16) % 8 == 0;
}

/* Several, because a model has more than one, and what was read may be written and read again.
 * Making a memory file takes longer than reading most inputs. */
enum { N_FILES = 4 };
static struct memory_file {
    int fd; /* 0: not made yet */
    size_t size;
    bool taken;
} files[N_FILES];

int fuzz_file(char path[FUZZ_PATH_SIZE], const uint8_t *data, size_t size)
{
    int i = 0;
    while (i < N_FILES && files[i].taken)
        i++;
    FUZZ_CHECK(i < N_FILES);
    if (files[i].fd == 0)
        files[i].fd = memfd_create("fuzz", MFD_CLOEXEC);
    const int fd = files[i].fd;
    FUZZ_CHECK(fd > 0);
    for (size_t at = 0; at < size;) {
        ssize_t n = pwrite(fd, data + at, size - at, (off_t)at);
        FUZZ_CHECK(n > 0);
        at += (size_t)n;
    }
    FUZZ_CHECK(size >= files[i].size || ftruncate(fd, (off_t)size) == 0); /* seldom: 2 us */
    files[i].size = size;
    files[i].taken = true;
    (void)snprintf(path, FUZZ_PATH_SIZE, "/proc/self/fd/%d", fd);
    return fd;
}

void fuzz_file_close(int fd)
{
    for (int i = 0; i < N_FILES; i++)
        files[i].taken = files[i].taken && files[i].fd != fd;
}

void fuzz_check_refusal(mv_code code, const mv_error *error)
{
    FUZZ_CHECK(code == error->code);
    FUZZ_CHECK(error->message[0] != '\0');
    for (const char *c = error->message; *c != '\0'; c++)
        FUZZ_CHECK(*c >= ' ' && *c <= '~');
    if (fuzz_everything)
        (void)printf("    %s\n", error->message);
}

static void check_tensor(const mv_tensor *tensor)
{
    uint64_t n = 0, size_bytes = 0;
    FUZZ_CHECK(tensor->name[0] != '\0');
    FUZZ_CHECK(tensor->n_dims == 1 || tensor->n_dims == 2);
    FUZZ_CHECK(tensor->n_dims == 2 || tensor->shape[1] == 1);
    FUZZ_CHECK(!__builtin_mul_overflow(tensor->shape[0], tensor->shape[1], &n) && n > 0);
    FUZZ_CHECK(!__builtin_mul_overflow(n, mv_dtype_size(tensor->dtype), &size_bytes));
    FUZZ_CHECK(size_bytes == tensor->size_bytes);
    FUZZ_CHECK((uintptr_t)tensor->data % mv_dtype_size(tensor->dtype) == 0);
    unsigned char *copy = malloc(tensor->size_bytes); /* the sanitizer checks what is read */
    FUZZ_CHECK(copy != NULL);
    memcpy(copy, tensor->data, tensor->size_bytes);
    free(copy);
}

void fuzz_tensor_file(mv_code (*open_file)(mv_tensor_file **file, const char *path,
                                           mv_error *error),
                      const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH_SIZE];
    int fd = fuzz_file(path, data, size);
    mv_tensor_file *file = NULL;
    mv_error error = {0};
    mv_code code = open_file(&file, path, &error);
    if (code != MV_OK) {
        FUZZ_CHECK(file == NULL);
        fuzz_check_refusal(code, &error);
    } else {
        FUZZ_CHECK(file->n_tensors > 0);
        for (size_t i = 0; i < file->n_tensors; i++) {
            const mv_tensor *tensor = &file->tensors[i];
            FUZZ_CHECK(i == 0 || strcmp(tensor[-1].name, tensor->name) < 0);
            FUZZ_CHECK(mv_tensor_file_find(file, tensor->name) == tensor);
            check_tensor(tensor);
        }
        mv_tensor_file_close(&file);
        FUZZ_CHECK(file == NULL);
    }
    fuzz_file_close(fd);
}
