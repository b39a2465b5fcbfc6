/* fiber.h - a stack and a place in a function, for the emulator's threads.
 *
 * Switching costs some 2 ns on x86-64, where it is ten instructions, and a system call elsewhere
 * (ucontext). One operating-system thread at a time uses fibers: emu.cpp holds a lock.
 */
#ifndef MV_CUDA_FIBER_H
#define MV_CUDA_FIBER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MV_FIBERS_MAX = 1024 };

/* All fibers begin in entry(), which must not return: it ends in mv_fiber_leave(). */
void mv_fiber_prepare(int fiber, void (*entry)(void));

/* From the scheduler into a fiber, until that leaves. */
void mv_fiber_enter(int fiber);

/* From the fiber back to the scheduler. done: this fiber will not be entered again. */
void mv_fiber_leave(int fiber, int done);

#ifdef __cplusplus
}
#endif

#endif
