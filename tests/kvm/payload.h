/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * payload: what start.S and payload.c have of each other
 */
#ifndef TESTS_KVM_PAYLOAD_H
#define TESTS_KVM_PAYLOAD_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

void run(void);
void on_vector(u32 vector);
/* Of 16 bytes each */
extern u8 vector_entries[];

#endif /* TESTS_KVM_PAYLOAD_H */
