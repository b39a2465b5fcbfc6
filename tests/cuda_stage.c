#include "tests/cuda_stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/emu_control.h"

bool cuda_stage_open(cuda_stage *s, mv_dtype dtype, char *why, size_t why_size)
{
    mv_error error = {MV_OK, ""};
    *s = (cuda_stage){.dtype = dtype, .random = 1, .why = why, .why_size = why_size};
    why[0] = '\0';
    if (mv_device_open(&s->device, 0, false, 0, &error) != MV_OK)
        (void)snprintf(why, why_size, "%s", error.message);
    return s->device != NULL;
}

void cuda_stage_close(cuda_stage *s)
{
    mv_emu_set_schedule(0, true, false);
    mv_device_close(s->device);
}

double cuda_random(cuda_stage *s)
{
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return (double)(int32_t)(s->random >> 32) * 0x1p-31;
}

static void *take(cuda_stage *s, size_t bytes)
{
    void *memory = NULL;
    mv_error error = {MV_OK, ""};
    if (mv_device_take(s->device, &memory, bytes, "a test's array", &error) != MV_OK)
        abort(); /* no memory for a few kilobytes */
    return memory;
}

void *cuda_array(cuda_stage *s, size_t n)
{
    return take(s, n * (s->dtype == MV_DTYPE_BF16 ? 2 : 4));
}

float *cuda_floats(cuda_stage *s, size_t n)
{
    return take(s, n * sizeof(float));
}

double cuda_get(const cuda_stage *s, const void *array, size_t i)
{
    float value;
    uint32_t bits;
    if (s->dtype == MV_DTYPE_F32)
        return (double)((const float *)array)[i];
    bits = (uint32_t)((const uint16_t *)array)[i] << 16;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

double cuda_put(const cuda_stage *s, void *array, size_t i, double value)
{
    const float rounded = (float)value;
    uint32_t bits;
    if (s->dtype == MV_DTYPE_F32) {
        ((float *)array)[i] = rounded;
        return (double)rounded;
    }
    memcpy(&bits, &rounded, sizeof bits);
    bits = isnan(rounded) ? 0x7fc00000u : bits + 0x7fffu + ((bits >> 16) & 1u);
    ((uint16_t *)array)[i] = (uint16_t)(bits >> 16);
    return cuda_get(s, array, i);
}

double cuda_rounded(const cuda_stage *s, double value)
{
    float room = 0;
    return cuda_put(s, &room, 0, value);
}

void cuda_fill_rows(cuda_stage *s, void *array, size_t n_rows, size_t n_cols, size_t ld)
{
    for (size_t i = 0; i < n_rows * ld; i++)
        (void)cuda_put(s, array, i, i % ld < n_cols ? cuda_random(s) : 0);
}

void cuda_fill_floats(cuda_stage *s, float *array, size_t n)
{
    for (size_t i = 0; i < n; i++)
        array[i] = (float)cuda_random(s);
}

static bool run_once(cuda_stage *s, uint32_t threads, uint32_t schedule, void (*before)(void *),
                     void (*start)(void *), void *arg)
{
    mv_error error = {MV_OK, ""};
    mv_emu_set_size(s->device, 3, threads);
    mv_emu_set_schedule(schedule / 4 * 7, schedule % 2 == 0, schedule / 2 % 2 == 1);
    if (before != NULL)
        before(arg);
    start(arg);
    if (mv_device_wait(s->device, &error) == MV_OK)
        return true;
    (void)snprintf(s->why, s->why_size, "%s", error.message);
    return false;
}

bool cuda_run_all(cuda_stage *s, void (*before)(void *), void (*start)(void *), void *arg,
                  const void *out, size_t bytes)
{
    static const uint32_t threads[] = {32, 128};
#if defined(__SANITIZE_ADDRESS__)
    const uint32_t n_schedules = 4; /* it is ten times as slow */
#else
    const uint32_t n_schedules = 12;
#endif
    void *first = malloc(bytes);
    bool good = first != NULL;
    for (size_t t = 0; t < 2 && good; t++) {
        for (uint32_t schedule = 0; schedule < n_schedules && good; schedule++) {
            good = run_once(s, threads[t], schedule, before, start, arg);
            if (good && schedule == 0)
                memcpy(first, out, bytes);
            if (good && memcmp(first, out, bytes) != 0) {
                good = false;
                (void)snprintf(s->why, s->why_size,
                               "schedule %u gives other bits than schedule 0, %u threads", schedule,
                               threads[t]);
            }
        }
    }
    free(first);
    return good;
}

bool cuda_close(cuda_stage *s, const char *what, const double *out, const double *expected,
                size_t n, double bound)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        difference += (out[i] - expected[i]) * (out[i] - expected[i]);
        size += expected[i] * expected[i];
    }
    if (sqrt(difference) <= bound * sqrt(size) && size > 0)
        return true;
    (void)snprintf(s->why, s->why_size, "%s: %g of the expected size away, at most %g", what,
                   sqrt(difference / size), bound);
    return false;
}
