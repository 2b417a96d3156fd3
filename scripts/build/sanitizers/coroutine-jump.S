/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See coroutine-jump.h. The buffer has the registers that a function keeps, the
 * stack pointer behind the return address, and that address.
 */
        .text
        .globl coroutine_setjmp
        .type coroutine_setjmp, @function
coroutine_setjmp:
        mov     %rbx, 0(%rdi)
        mov     %rbp, 8(%rdi)
        mov     %r12, 16(%rdi)
        mov     %r13, 24(%rdi)
        mov     %r14, 32(%rdi)
        mov     %r15, 40(%rdi)
        lea     8(%rsp), %rdx
        mov     %rdx, 48(%rdi)
        mov     (%rsp), %rdx
        mov     %rdx, 56(%rdi)
        xor     %eax, %eax
        ret
        .size coroutine_setjmp, . - coroutine_setjmp

        .globl coroutine_longjmp
        .type coroutine_longjmp, @function
coroutine_longjmp:
        mov     %esi, %eax
        mov     0(%rdi), %rbx
        mov     8(%rdi), %rbp
        mov     16(%rdi), %r12
        mov     24(%rdi), %r13
        mov     32(%rdi), %r14
        mov     40(%rdi), %r15
        mov     48(%rdi), %rsp
        jmp     *56(%rdi)
        .size coroutine_longjmp, . - coroutine_longjmp

        .section .note.GNU-stack, "", @progbits
