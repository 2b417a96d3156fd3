/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * setjmp() and longjmp() for QEMU's coroutines under ThreadSanitizer
 *
 * The sanitizer replaces those of libc, and looks for the target of a jump among
 * the calls of the stack that it left. A coroutine has another stack, so the
 * program ends. QEMU tells the sanitizer of the switch of stacks itself
 * (__tsan_switch_to_fiber()), so a plain jump is right.
 */
#ifndef SCRIPTS_BUILD_SANITIZERS_COROUTINE_JUMP_H
#define SCRIPTS_BUILD_SANITIZERS_COROUTINE_JUMP_H

#include <setjmp.h>

int coroutine_setjmp(sigjmp_buf env) __attribute__((returns_twice));
void coroutine_longjmp(sigjmp_buf env, int value) __attribute__((noreturn));

#undef sigsetjmp
#define sigsetjmp(env, mask) coroutine_setjmp(env)
#undef siglongjmp
#define siglongjmp(env, value) coroutine_longjmp(env, value)

#endif /* SCRIPTS_BUILD_SANITIZERS_COROUTINE_JUMP_H */
