/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers of the endpoint function "counter"
 *
 * They are at the start of BAR 0, little-endian.  The host writes the
 * parameters of a command and then COMMAND.  When the endpoint is done it
 * sets STATUS, then COMMAND to 0, and raises interrupt 0.
 */
#ifndef COUNTER_H
#define COUNTER_H

#include <linux/types.h>

#define COUNTER_VENDOR		0x1af4
#define COUNTER_DEVICE		0x10fc

#define COUNTER_MAGIC		0x544e4f43	/* "CONT" */
#define COUNTER_MAX_SIZE	65536		/* bytes of a transfer */

enum counter_command {
	COUNTER_CMD_NONE = 0,
	COUNTER_CMD_ADD = 1,	/* adds VALUE to COUNT */
	COUNTER_CMD_SUM = 2,	/* reads words of the host, adds each to COUNT */
	COUNTER_CMD_FILL = 3,	/* writes COUNT, COUNT + 1 ... to the host */
};

enum counter_status {
	COUNTER_OK = 0,
	COUNTER_BAD_COMMAND = 1,
	COUNTER_BAD_SIZE = 2,
	COUNTER_FAILED = 3,
};

/**
 * struct counter_regs - the registers
 * @magic: COUNTER_MAGIC, so that the host knows what it talks to
 * @command: enum counter_command
 * @status: enum counter_status of the last command
 * @value: parameter of COUNTER_CMD_ADD
 * @address: bus address in the host, of a transfer
 * @size: bytes of a transfer, a multiple of 4, at most COUNTER_MAX_SIZE
 * @dma: 1 if the last transfer was made by a DMA channel, 0 if by the CPU
 * @count: what is counted
 */
struct counter_regs {
	__le32 magic;
	__le32 command;
	__le32 status;
	__le32 value;
	__le64 address;
	__le32 size;
	__le32 dma;
	__le32 count;
};

#endif /* COUNTER_H */
