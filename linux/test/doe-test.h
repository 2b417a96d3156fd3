/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What both sides of the test of DOE mailboxes know
 *
 * A request has the length of the response that it asks for and a seed, and a
 * pattern of that seed behind them.  The response has a pattern of the inverted
 * seed.  Lengths are those of payloads, in dwords.
 */
#ifndef DOE_TEST_H
#define DOE_TEST_H

#include <linux/types.h>

#define DOE_TEST_DEVICE		0x10fc
#define DOE_TEST_VENDOR		0x1af4
#define DOE_TEST_ECHO		1	/* type of such objects */
#define DOE_TEST_REFUSE		2	/* type of those that the function refuses */
/* The shortest request, and the longest payload there is */
#define DOE_TEST_MIN		2
#define DOE_TEST_MAX		((1 << 18) - 2)

/* Dword @i of a pattern; patterns of different seeds are different. */
static inline u32 doe_test_dword(u32 seed, u32 i)
{
	return (seed + 1) * 0x9e3779b1 + i * 0x85ebca6b;
}

/* Fills @len dwords with the pattern from its dword @from on. */
static inline void doe_test_fill(__le32 *buf, u32 len, u32 seed, u32 from)
{
	u32 i;

	for (i = 0; i < len; i++)
		buf[i] = cpu_to_le32(doe_test_dword(seed, from + i));
}

/* Returns the number of dwords that have the pattern, from the first one on. */
static inline u32 doe_test_check(const __le32 *buf, u32 len, u32 seed, u32 from)
{
	u32 i;

	for (i = 0; i < len; i++)
		if (le32_to_cpu(buf[i]) != doe_test_dword(seed, from + i))
			break;
	return i;
}

#endif /* DOE_TEST_H */
