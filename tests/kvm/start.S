/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entry of the payload: a multiboot image, 32 bits, paging off
 */
#define MULTIBOOT_MAGIC 0x1badb002

    .section .multiboot, "a"
    .align 4
    .long MULTIBOOT_MAGIC, 0, -MULTIBOOT_MAGIC

    .text
    .globl _start
_start:
    cli
    lgdt gdt_pointer
    ljmp $8, $1f
1:  mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov $stack_top, %esp
    call run

    /* One entry for each vector, with its number and without error codes */
    .macro vector_entry n
    .align 16
    .if !(\n == 8 || (\n >= 10 && \n <= 14) || \n == 17)
    push $0
    .endif
    push $\n
    jmp vector_common
    .endm

    .align 16
    .globl vector_entries
vector_entries:
    .set n, 0
    .rept 256
    vector_entry n
    .set n, n + 1
    .endr

vector_common:
    pusha
    mov 32(%esp), %eax
    push %eax
    call on_vector
    add $4, %esp
    popa
    add $8, %esp
    /* No iret: where KVM emulates all of this, it does not know it */
    push 8(%esp)
    popf
    ret $8

    .data
    .align 8
gdt:
    .quad 0
    .quad 0x00cf9a000000ffff
    .quad 0x00cf92000000ffff
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .bss
    .align 16
    .skip 16384
stack_top:

    .section .note.GNU-stack, "", @progbits
