// SPDX-License-Identifier: GPL-2.0
/*
 * Attributes in configfs, and what debugfs shows
 *
 * Attributes are in the directory "virtio" of the function.  They cannot be
 * changed while the function is bound, all but trap_delay_us.
 */
#include <linux/debugfs.h>
#include <linux/kstrtox.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/string_choices.h>

#include "device.h"

static const struct epf_virtio_ops * const epf_virtio_types[] = {
	&epf_virtio_rng_ops,
	&epf_virtio_blk_ops,
	&epf_virtio_net_ops,
	&epf_virtio_console_ops,
};

static struct dentry *epf_virtio_root;

static const char * const epf_virtio_state_names[] = {
	[EPF_VIRTIO_RESET] = "reset",
	[EPF_VIRTIO_FEATURES] = "features",
	[EPF_VIRTIO_QUEUES] = "queues",
	[EPF_VIRTIO_STARTING] = "starting",
	[EPF_VIRTIO_RUNNING] = "running",
	[EPF_VIRTIO_BROKEN] = "broken",
	[EPF_VIRTIO_STOPPING] = "stopping",
};

/* ---- Attributes ---- */

static struct epf_virtio *epf_virtio_of_item(struct config_item *item)
{
	return container_of(to_config_group(item), struct epf_virtio, group);
}

static const struct epf_virtio_ops *epf_virtio_find_type(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(epf_virtio_types); i++)
		if (sysfs_streq(epf_virtio_types[i]->name, name))
			return epf_virtio_types[i];
	return NULL;
}

static ssize_t epf_virtio_type_show(struct config_item *item, char *page)
{
	const struct epf_virtio_ops *ops =
		epf_virtio_of_item(item)->options.ops;

	return sysfs_emit(page, "%s\n", ops ? ops->name : "");
}

static ssize_t epf_virtio_type_store(struct config_item *item,
				     const char *page, size_t len)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);
	const struct epf_virtio_ops *ops = epf_virtio_find_type(page);

	if (!ops)
		return -EINVAL;
	guard(mutex)(&ev->lock);
	if (ev->bound)
		return -EBUSY;
	ev->options.ops = ops;
	return len;
}
CONFIGFS_ATTR(epf_virtio_, type);

static ssize_t epf_virtio_queue_size_show(struct config_item *item, char *page)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return sysfs_emit(page, "%u\n", ev->options.queue_size);
}

static ssize_t epf_virtio_queue_size_store(struct config_item *item,
					   const char *page, size_t len)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);
	u32 size;
	int ret = kstrtou32(page, 0, &size);

	if (ret)
		return ret;
	if (size && (!is_power_of_2(size) || size > EPF_VIRTIO_MAX_QUEUE_SIZE))
		return -EINVAL;
	guard(mutex)(&ev->lock);
	if (ev->bound)
		return -EBUSY;
	ev->options.queue_size = size;
	return len;
}
CONFIGFS_ATTR(epf_virtio_, queue_size);

static ssize_t epf_virtio_trap_delay_us_show(struct config_item *item,
					     char *page)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return sysfs_emit(page, "%u\n", ev->options.trap_delay_us);
}

static ssize_t epf_virtio_trap_delay_us_store(struct config_item *item,
					      const char *page, size_t len)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);
	u32 delay;
	int ret = kstrtou32(page, 0, &delay);

	if (ret)
		return ret;
	if (delay > EPF_VIRTIO_MAX_DELAY_US)
		return -EINVAL;
	WRITE_ONCE(ev->options.trap_delay_us, delay);
	return len;
}
CONFIGFS_ATTR(epf_virtio_, trap_delay_us);

static ssize_t epf_virtio_store_bool(struct epf_virtio *ev, const char *page,
				     size_t len, bool *option)
{
	bool value;
	int ret = kstrtobool(page, &value);

	if (ret)
		return ret;
	guard(mutex)(&ev->lock);
	if (ev->bound)
		return -EBUSY;
	*option = value;
	return len;
}

static ssize_t epf_virtio_show_bool(char *page, bool value)
{
	return sysfs_emit(page, "%s\n", str_on_off(value));
}

static ssize_t epf_virtio_trap_show(struct config_item *item, char *page)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return epf_virtio_show_bool(page, ev->options.trap);
}

static ssize_t epf_virtio_trap_store(struct config_item *item, const char *page,
				     size_t len)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return epf_virtio_store_bool(ev, page, len, &ev->options.trap);
}
CONFIGFS_ATTR(epf_virtio_, trap);

static ssize_t epf_virtio_doorbells_show(struct config_item *item, char *page)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return epf_virtio_show_bool(page, ev->options.doorbells);
}

static ssize_t epf_virtio_doorbells_store(struct config_item *item,
					  const char *page, size_t len)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return epf_virtio_store_bool(ev, page, len, &ev->options.doorbells);
}
CONFIGFS_ATTR(epf_virtio_, doorbells);

static ssize_t epf_virtio_notification_data_show(struct config_item *item,
						 char *page)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return epf_virtio_show_bool(page, ev->options.notification_data);
}

static ssize_t epf_virtio_notification_data_store(struct config_item *item,
						  const char *page, size_t len)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return epf_virtio_store_bool(ev, page, len,
				     &ev->options.notification_data);
}
CONFIGFS_ATTR(epf_virtio_, notification_data);

static ssize_t epf_virtio_access_platform_show(struct config_item *item,
					       char *page)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return epf_virtio_show_bool(page, ev->options.access_platform);
}

static ssize_t epf_virtio_access_platform_store(struct config_item *item,
						const char *page, size_t len)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return epf_virtio_store_bool(ev, page, len, &ev->options.access_platform);
}
CONFIGFS_ATTR(epf_virtio_, access_platform);

static ssize_t epf_virtio_capabilities_show(struct config_item *item,
					    char *page)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return epf_virtio_show_bool(page, ev->options.capabilities);
}

static ssize_t epf_virtio_capabilities_store(struct config_item *item,
					     const char *page, size_t len)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return epf_virtio_store_bool(ev, page, len, &ev->options.capabilities);
}
CONFIGFS_ATTR(epf_virtio_, capabilities);

static ssize_t epf_virtio_read_only_show(struct config_item *item, char *page)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return epf_virtio_show_bool(page, ev->options.read_only);
}

static ssize_t epf_virtio_read_only_store(struct config_item *item,
					  const char *page, size_t len)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	return epf_virtio_store_bool(ev, page, len, &ev->options.read_only);
}
CONFIGFS_ATTR(epf_virtio_, read_only);

static ssize_t epf_virtio_backing_show(struct config_item *item, char *page)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);

	guard(mutex)(&ev->lock);
	return sysfs_emit(page, "%s\n", ev->options.backing ? : "");
}

/* The path without the end of line of echo; an empty one is none. */
static ssize_t epf_virtio_backing_store(struct config_item *item,
					const char *page, size_t len)
{
	struct epf_virtio *ev = epf_virtio_of_item(item);
	struct device *dev = &ev->epf->dev;
	size_t n = len && page[len - 1] == '\n' ? len - 1 : len;
	char *path = NULL;

	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	if (n)
		path = devm_kasprintf(dev, GFP_KERNEL, "%.*s", (int)n, page);
	if (n && !path)
		return -ENOMEM;
	scoped_guard(mutex, &ev->lock) {
		if (!ev->bound)
			swap(ev->options.backing, path);
		else
			len = 0;
	}
	if (path)
		devm_kfree(dev, path);
	return len ? : -EBUSY;
}
CONFIGFS_ATTR(epf_virtio_, backing);

static struct configfs_attribute *epf_virtio_attrs[] = {
	&epf_virtio_attr_type,
	&epf_virtio_attr_queue_size,
	&epf_virtio_attr_trap,
	&epf_virtio_attr_trap_delay_us,
	&epf_virtio_attr_doorbells,
	&epf_virtio_attr_notification_data,
	&epf_virtio_attr_access_platform,
	&epf_virtio_attr_capabilities,
	&epf_virtio_attr_backing,
	&epf_virtio_attr_read_only,
	&epf_virtio_net_attr_queue_pairs,
	&epf_virtio_net_attr_mtu,
	&epf_virtio_net_attr_mac,
	&epf_virtio_net_attr_netdev,
	NULL
};

const struct config_item_type epf_virtio_group_type = {
	.ct_attrs = epf_virtio_attrs,
	.ct_owner = THIS_MODULE,
};

/* ---- debugfs ---- */

static int epf_virtio_state_show(struct seq_file *s, void *unused)
{
	struct epf_virtio *ev = s->private;
	unsigned int i;

	guard(mutex)(&ev->lock);
	seq_printf(s, "state %s\n", epf_virtio_state_names[ev->state]);
	seq_printf(s, "status %#x\nfeatures %#llx\ndoorbells %u\n", ev->status,
		   ev->accepted, ev->bells);
	seq_printf(s, "reads %u\nwrites %u\nresets %u\nerrors %u\n", ev->reads,
		   ev->writes, ev->resets, ev->errors);
	for (i = 0; i < ev->num_queues; i++) {
		struct epf_virtio_queue *q = &ev->queue[i];

		seq_printf(s, "kicks%u %u\nchains%u %u\ninterrupts%u %u\n",
			   i, atomic_read(&q->kicks), i,
			   atomic_read(&q->chains), i,
			   atomic_read(&q->interrupts));
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(epf_virtio_state);

void epf_virtio_show(struct epf_virtio *ev)
{
	ev->dir = debugfs_create_dir(dev_name(&ev->epf->dev), epf_virtio_root);
	debugfs_create_file("state", 0400, ev->dir, ev,
			    &epf_virtio_state_fops);
}

void epf_virtio_debugfs_init(void)
{
	epf_virtio_root = debugfs_create_dir("pci_epf_virtio", NULL);
}

void epf_virtio_debugfs_exit(void)
{
	debugfs_remove(epf_virtio_root);
}
