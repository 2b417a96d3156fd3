// SPDX-License-Identifier: GPL-2.0
/*
 * Host side of pci-epf-doe-test: exchanges objects by the pci_doe() of the kernel
 *
 * Files in debugfs:
 *
 *   run     write "COUNT LENGTH SEED": that many exchanges, with random lengths
 *           of up to LENGTH dwords both ways
 *   one     write "TYPE LENGTH": one exchange of that length both ways; fails as
 *           pci_doe() does
 *   result  of the last write to "run": numbers of exchanges that succeeded, that
 *           failed, and of responses whose content was wrong
 *
 * A write that is under way ends early when its process gets a signal.
 */
#include <linux/debugfs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-doe.h>
#include <linux/prandom.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "doe-test.h"

#define DOE_TEST_HOST_NAME	"pci-ep-doe-test-host"

/**
 * struct doe_test_host - the device
 * @pdev: the PCI device
 * @mb: its mailbox
 * @dir: its directory in debugfs
 * @request: payload of a request, DOE_TEST_MAX dwords
 * @response: payload of a response, as long
 * @good: number of exchanges that succeeded
 * @failed: number of exchanges that pci_doe() has failed
 * @wrong: number of responses whose content was wrong
 */
struct doe_test_host {
	struct pci_dev *pdev;
	struct pci_doe_mb *mb;
	struct dentry *dir;
	__le32 *request;
	__le32 *response;
	u32 good;
	u32 failed;
	u32 wrong;
};

/* Returns what pci_doe() does, or -EILSEQ for a wrong response. */
static int doe_test_host_exchange(struct doe_test_host *h, u8 type, u32 len,
				  u32 back, u32 seed)
{
	int ret;

	h->request[0] = cpu_to_le32(back);
	h->request[1] = cpu_to_le32(seed);
	doe_test_fill(h->request + 2, len - 2, seed, 2);
	/* What is left of the response before must not look right. */
	memset(h->response, 0xee, back * sizeof(__le32));
	ret = pci_doe(h->mb, DOE_TEST_VENDOR, type, h->request,
		      len * sizeof(__le32), h->response,
		      back * sizeof(__le32));
	if (ret < 0)
		return ret;
	if (ret == back * sizeof(__le32) &&
	    doe_test_check(h->response, back, ~seed, 0) == back)
		return ret;
	dev_err(&h->pdev->dev,
		"request of %u dwords, seed %u: %d bytes instead of %u dwords, the first %u are right\n",
		len, seed, ret, back,
		doe_test_check(h->response, back, ~seed, 0));
	return -EILSEQ;
}

/*
 * Responses have a payload.  When a reset takes the header of one without it
 * away, pci_doe() finds length 0, and reads on for 2^18 dwords.
 */
static void doe_test_host_run(struct doe_test_host *h, u32 count, u32 most,
			      u32 seed)
{
	struct rnd_state rnd;
	u32 i;

	prandom_seed_state(&rnd, seed);
	h->good = 0;
	h->failed = 0;
	h->wrong = 0;
	for (i = 0; i < count && !signal_pending(current); i++) {
		u32 len = DOE_TEST_MIN +
			  prandom_u32_state(&rnd) % (most - DOE_TEST_MIN + 1);
		u32 back = 1 + prandom_u32_state(&rnd) % most;
		int ret = doe_test_host_exchange(h, DOE_TEST_ECHO, len, back,
						 prandom_u32_state(&rnd));

		if (ret == -EILSEQ)
			h->wrong++;
		else if (ret < 0)
			h->failed++;
		else
			h->good++;
		cond_resched();
	}
}

/* ---- debugfs ---- */

/* Gets up to three numbers from user space, and returns how many. */
static int doe_test_host_numbers(const char __user *buf, size_t count,
				 u32 *number)
{
	char text[64];
	int found;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, count))
		return -EFAULT;
	text[count] = '\0';
	found = sscanf(text, "%u %u %u", number, number + 1, number + 2);
	return found;
}

static bool doe_test_host_is_length(u32 len)
{
	return len >= DOE_TEST_MIN && len <= DOE_TEST_MAX;
}

static ssize_t doe_test_host_run_write(struct file *file,
				       const char __user *buf, size_t count,
				       loff_t *pos)
{
	struct doe_test_host *h = file->private_data;
	u32 number[3];

	if (doe_test_host_numbers(buf, count, number) != 3 ||
	    !doe_test_host_is_length(number[1]))
		return -EINVAL;
	doe_test_host_run(h, number[0], number[1], number[2]);
	return count;
}

static const struct file_operations doe_test_host_run_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = doe_test_host_run_write,
};

static ssize_t doe_test_host_one_write(struct file *file,
				       const char __user *buf, size_t count,
				       loff_t *pos)
{
	struct doe_test_host *h = file->private_data;
	u32 number[3];
	int ret;

	if (doe_test_host_numbers(buf, count, number) != 2 ||
	    number[0] > U8_MAX || !doe_test_host_is_length(number[1]))
		return -EINVAL;
	ret = doe_test_host_exchange(h, number[0], number[1], number[1],
				     number[1]);
	return ret < 0 ? ret : count;
}

static const struct file_operations doe_test_host_one_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = doe_test_host_one_write,
};

static int doe_test_host_result_show(struct seq_file *s, void *unused)
{
	struct doe_test_host *h = s->private;

	seq_printf(s, "%u %u %u\n", READ_ONCE(h->good), READ_ONCE(h->failed),
		   READ_ONCE(h->wrong));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(doe_test_host_result);

static void doe_test_host_show(struct doe_test_host *h)
{
	h->dir = debugfs_create_dir(DOE_TEST_HOST_NAME, NULL);
	debugfs_create_file("run", 0200, h->dir, h, &doe_test_host_run_fops);
	debugfs_create_file("one", 0200, h->dir, h, &doe_test_host_one_fops);
	debugfs_create_file("result", 0400, h->dir, h,
			    &doe_test_host_result_fops);
}

/* ---- The device ---- */

static int doe_test_host_probe(struct pci_dev *pdev,
			       const struct pci_device_id *id)
{
	struct doe_test_host *h = devm_kzalloc(&pdev->dev, sizeof(*h),
					       GFP_KERNEL);
	size_t size = DOE_TEST_MAX * sizeof(__le32);

	if (!h)
		return -ENOMEM;
	h->pdev = pdev;
	h->mb = pci_find_doe_mailbox(pdev, DOE_TEST_VENDOR, DOE_TEST_ECHO);
	if (!h->mb)
		return dev_err_probe(&pdev->dev, -ENODEV, "no DOE mailbox\n");
	h->request = kvmalloc(size, GFP_KERNEL);
	h->response = kvmalloc(size, GFP_KERNEL);
	if (!h->request || !h->response) {
		kvfree(h->request);
		kvfree(h->response);
		return -ENOMEM;
	}
	pci_set_drvdata(pdev, h);
	doe_test_host_show(h);
	return 0;
}

static void doe_test_host_remove(struct pci_dev *pdev)
{
	struct doe_test_host *h = pci_get_drvdata(pdev);

	debugfs_remove(h->dir);
	kvfree(h->request);
	kvfree(h->response);
}

static const struct pci_device_id doe_test_host_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, DOE_TEST_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, doe_test_host_ids);

static struct pci_driver doe_test_host_driver = {
	.name = DOE_TEST_HOST_NAME,
	.id_table = doe_test_host_ids,
	.probe = doe_test_host_probe,
	.remove = doe_test_host_remove,
};
module_pci_driver(doe_test_host_driver);

MODULE_DESCRIPTION("Host side of the test of DOE mailboxes");
MODULE_LICENSE("GPL");
