// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * counter-test NODE ROUNDS: tests the endpoint function "counter" through the
 * driver of the host
 *
 * The output is TAP, and the exit status is that of a kselftest: 0 passed, 1
 * failed, 4 skipped.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "counter.h"
#include "counter-uapi.h"

#define WORDS	(COUNTER_MAX_SIZE / sizeof(__u32))

static int node;
static unsigned int rounds;
static __u32 data[WORDS + 1];

/* Explains a failure, and returns that it is one. */
static int failed(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("# ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	return 1;
}

static __u32 get(void)
{
	__u32 value = 0;

	if (ioctl(node, COUNTER_IOC_GET, &value))
		failed("COUNTER_IOC_GET: %s", strerror(errno));
	return value;
}

static int is(__u32 expected)
{
	__u32 seen = get();

	if (seen == expected)
		return 0;
	return failed("count: expected %u, saw %u", expected, seen);
}

static int test_add(void)
{
	__u32 before = get();
	unsigned int i;

	for (i = 1; i <= rounds; i++) {
		if (ioctl(node, COUNTER_IOC_ADD, i))
			return failed("COUNTER_IOC_ADD: %s", strerror(errno));
	}
	return is(before + rounds * (rounds + 1) / 2);
}

static int sum(size_t words)
{
	__u32 expected = get();
	size_t size = words * sizeof(data[0]);
	size_t i;

	for (i = 0; i < words; i++) {
		data[i] = i * 2654435761u;
		expected += data[i];
	}
	if (write(node, data, size) != (ssize_t)size)
		return failed("write of %zu bytes: %s", size, strerror(errno));
	return is(expected);
}

static int test_sum(void)
{
	return sum(1) || sum(3) || sum(1025) || sum(WORDS);
}

static int fill(size_t words)
{
	__u32 first = get();
	size_t size = words * sizeof(data[0]);
	size_t i;

	memset(data, 0xff, sizeof(data));
	if (read(node, data, size) != (ssize_t)size)
		return failed("read of %zu bytes: %s", size, strerror(errno));
	for (i = 0; i < words; i++) {
		if (data[i] != first + i)
			return failed("word %zu: expected %u, saw %u", i,
				      (__u32)(first + i), data[i]);
	}
	return is(first);
}

static int test_fill(void)
{
	return fill(1) || fill(3) || fill(1025) || fill(WORDS);
}

static int test_bad_size(void)
{
	__u32 before = get();

	if (write(node, data, 3) != -1 || errno != EINVAL)
		return failed("write of 3 bytes was not refused");
	if (read(node, data, sizeof(data)) != -1 || errno != EINVAL)
		return failed("read of too much was not refused");
	return is(before);
}

/* Skipped if the endpoint has no DMA channel. */
static int test_dma(void)
{
	__u32 dma = 0;

	if (sum(WORDS) || ioctl(node, COUNTER_IOC_DMA, &dma))
		return 1;
	return dma ? 0 : 4;
}

static const struct {
	const char *name;
	int (*run)(void);
} tests[] = {
	{ "add", test_add },
	{ "sum", test_sum },
	{ "fill", test_fill },
	{ "bad_size", test_bad_size },
	{ "dma", test_dma },
	{ NULL, NULL }
};

int main(int argc, char **argv)
{
	unsigned int count = 0, i;
	int bad = 0;

	setlinebuf(stdout);
	if (argc != 3) {
		fprintf(stderr, "usage: counter-test NODE ROUNDS\n");
		return 1;
	}
	rounds = strtoul(argv[2], NULL, 10);
	node = open(argv[1], O_RDWR);
	if (node < 0) {
		printf("Bail out! %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	while (tests[count].name)
		count++;
	printf("TAP version 13\n1..%u\n", count);
	for (i = 0; i < count; i++) {
		int status = tests[i].run();

		if (status == 4) {
			printf("ok %u %s # SKIP no DMA channel\n", i + 1,
			       tests[i].name);
			continue;
		}
		printf("%s %u %s\n", status ? "not ok" : "ok", i + 1,
		       tests[i].name);
		bad |= status;
	}
	return bad;
}
