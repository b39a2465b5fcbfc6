/* fiber.cpp - see fiber.h. The sanitizers are told of each switch: they keep the bounds of a stack.
 */
#include "backends/cuda/fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#define MV_FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MV_FIBER_ASAN 1
#endif
#endif
#if defined(MV_FIBER_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace
{
const size_t STACK_BYTES = 64 * 1024;

/* Only what is touched becomes memory. Kept for the life of the process. */
char *all_stacks;
void (*entry_of_all)(void);

char *stack_of(int fiber)
{
    return all_stacks + (size_t)fiber * STACK_BYTES;
}

#if defined(MV_FIBER_ASAN)
const void *scheduler_stack;
size_t scheduler_bytes;
void *scheduler_fake, *fiber_fake[MV_FIBERS_MAX];
#endif
} // namespace

#if defined(__x86_64__)
/* Saves what a callee must save, and the stack pointer in *from; goes on where `to` was saved. */
extern "C" void mv_fiber_switch(void **from, void *to);
asm(".text\n"
    ".globl mv_fiber_switch\n"
    ".hidden mv_fiber_switch\n"
    ".type mv_fiber_switch,@function\n"
    "mv_fiber_switch:\n"
    "    push %rbp\n    push %rbx\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
    "    mov %rsp,(%rdi)\n"
    "    mov %rsi,%rsp\n"
    "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbx\n    pop %rbp\n"
    "    ret\n"
    ".size mv_fiber_switch,.-mv_fiber_switch\n");

static void *scheduler_at, *fiber_at[MV_FIBERS_MAX];
#else
static ucontext_t scheduler_at, fiber_at[MV_FIBERS_MAX];
#endif

static void begin(void)
{
#if defined(MV_FIBER_ASAN)
    __sanitizer_finish_switch_fiber(NULL, &scheduler_stack, &scheduler_bytes);
#endif
    entry_of_all();
    abort(); /* entry() must not return */
}

void mv_fiber_prepare(int fiber, void (*entry)(void))
{
    if (all_stacks == NULL) {
        void *memory = mmap(NULL, MV_FIBERS_MAX * STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        all_stacks = memory == MAP_FAILED ? NULL : (char *)memory;
        if (all_stacks == NULL)
            abort(); /* 64 MiB of addresses */
    }
    entry_of_all = entry;
#if defined(MV_FIBER_ASAN)
    fiber_fake[fiber] = NULL;
    __asan_unpoison_memory_region(stack_of(fiber), STACK_BYTES); /* of frames never left */
#endif
#if defined(__x86_64__)
    /* At entry to begin(), the stack is 8 bytes off a multiple of 16, as after a call. */
    void **top = (void **)(void *)(stack_of(fiber) + STACK_BYTES - 16);
    void (*first)(void) = begin;
    *--top = NULL;
    memcpy(--top, &first, sizeof first);
    top -= 6;
    memset(top, 0, 6 * sizeof *top);
    fiber_at[fiber] = top;
#else
    (void)getcontext(&fiber_at[fiber]);
    fiber_at[fiber].uc_stack.ss_sp = stack_of(fiber);
    fiber_at[fiber].uc_stack.ss_size = STACK_BYTES;
    fiber_at[fiber].uc_link = NULL;
    makecontext(&fiber_at[fiber], begin, 0);
#endif
}

void mv_fiber_enter(int fiber)
{
#if defined(MV_FIBER_ASAN)
    __sanitizer_start_switch_fiber(&scheduler_fake, stack_of(fiber), STACK_BYTES);
#endif
#if defined(__x86_64__)
    mv_fiber_switch(&scheduler_at, fiber_at[fiber]);
#else
    (void)swapcontext(&scheduler_at, &fiber_at[fiber]);
#endif
#if defined(MV_FIBER_ASAN)
    __sanitizer_finish_switch_fiber(scheduler_fake, NULL, NULL);
#endif
}

void mv_fiber_leave(int fiber, int done)
{
#if defined(MV_FIBER_ASAN)
    __sanitizer_start_switch_fiber(done ? NULL : &fiber_fake[fiber], scheduler_stack,
                                   scheduler_bytes);
#else
    (void)done;
#endif
#if defined(__x86_64__)
    mv_fiber_switch(&fiber_at[fiber], scheduler_at);
#else
    (void)swapcontext(&fiber_at[fiber], &scheduler_at);
#endif
#if defined(MV_FIBER_ASAN)
    __sanitizer_finish_switch_fiber(fiber_fake[fiber], &scheduler_stack, &scheduler_bytes);
#endif
}
