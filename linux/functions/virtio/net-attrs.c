// SPDX-License-Identifier: GPL-2.0
/*
 * Attributes of a network device in configfs
 */
#include <linux/etherdevice.h>
#include <linux/hex.h>
#include <linux/if_ether.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/netdevice.h>
#include <linux/string.h>

#include "device.h"

/* ETH_MIN_MTU is the least that section 5.1.4.1 allows. */
#define EPF_VIRTIO_NET_MAX_MTU	ETH_MAX_MTU

static_assert(2 * EPF_VIRTIO_NET_PAIRS + 1 <= EPF_VIRTIO_MAX_QUEUES);

const struct epf_virtio_net_options *
epf_virtio_net_options(const struct epf_virtio *ev)
{
	return &ev->options.net;
}

static struct epf_virtio *epf_virtio_net_of_item(struct config_item *item)
{
	return container_of(to_config_group(item), struct epf_virtio, group);
}

static ssize_t epf_virtio_net_store_number(struct config_item *item,
					   const char *page, size_t len,
					   u32 min, u32 max, u32 *option)
{
	struct epf_virtio *ev = epf_virtio_net_of_item(item);
	u32 value;
	int ret = kstrtou32(page, 0, &value);

	if (ret)
		return ret;
	if (value < min || value > max)
		return -EINVAL;
	guard(mutex)(&ev->lock);
	if (ev->bound)
		return -EBUSY;
	*option = value;
	return len;
}

static ssize_t epf_virtio_net_queue_pairs_show(struct config_item *item,
					       char *page)
{
	struct epf_virtio *ev = epf_virtio_net_of_item(item);

	return sysfs_emit(page, "%u\n", ev->options.net.queue_pairs);
}

static ssize_t epf_virtio_net_queue_pairs_store(struct config_item *item,
						const char *page, size_t len)
{
	struct epf_virtio *ev = epf_virtio_net_of_item(item);

	return epf_virtio_net_store_number(item, page, len, 1,
					   EPF_VIRTIO_NET_PAIRS,
					   &ev->options.net.queue_pairs);
}

struct configfs_attribute epf_virtio_net_attr_queue_pairs = {
	.ca_name = "queue_pairs",
	.ca_mode = 0644,
	.ca_owner = THIS_MODULE,
	.show = epf_virtio_net_queue_pairs_show,
	.store = epf_virtio_net_queue_pairs_store,
};

static ssize_t epf_virtio_net_mtu_show(struct config_item *item, char *page)
{
	struct epf_virtio *ev = epf_virtio_net_of_item(item);

	return sysfs_emit(page, "%u\n", ev->options.net.mtu);
}

static ssize_t epf_virtio_net_mtu_store(struct config_item *item,
					const char *page, size_t len)
{
	struct epf_virtio *ev = epf_virtio_net_of_item(item);

	return epf_virtio_net_store_number(item, page, len, ETH_MIN_MTU,
					   EPF_VIRTIO_NET_MAX_MTU,
					   &ev->options.net.mtu);
}

struct configfs_attribute epf_virtio_net_attr_mtu = {
	.ca_name = "mtu",
	.ca_mode = 0644,
	.ca_owner = THIS_MODULE,
	.show = epf_virtio_net_mtu_show,
	.store = epf_virtio_net_mtu_store,
};

static ssize_t epf_virtio_net_mac_show(struct config_item *item, char *page)
{
	struct epf_virtio *ev = epf_virtio_net_of_item(item);

	guard(mutex)(&ev->lock);
	return sysfs_emit(page, "%pM\n", ev->options.net.mac);
}

static ssize_t epf_virtio_net_mac_store(struct config_item *item,
					const char *page, size_t len)
{
	struct epf_virtio *ev = epf_virtio_net_of_item(item);
	u8 mac[ETH_ALEN];

	if (!mac_pton(page, mac))
		return -EINVAL;
	if (!is_valid_ether_addr(mac) && !is_zero_ether_addr(mac))
		return -EADDRNOTAVAIL;
	guard(mutex)(&ev->lock);
	if (ev->bound)
		return -EBUSY;
	ether_addr_copy(ev->options.net.mac, mac);
	return len;
}

struct configfs_attribute epf_virtio_net_attr_mac = {
	.ca_name = "mac",
	.ca_mode = 0644,
	.ca_owner = THIS_MODULE,
	.show = epf_virtio_net_mac_show,
	.store = epf_virtio_net_mac_store,
};

static ssize_t epf_virtio_net_netdev_show(struct config_item *item, char *page)
{
	struct epf_virtio *ev = epf_virtio_net_of_item(item);

	guard(mutex)(&ev->lock);
	return sysfs_emit(page, "%s\n", ev->options.net.netdev);
}

static ssize_t epf_virtio_net_netdev_store(struct config_item *item,
					   const char *page, size_t len)
{
	struct epf_virtio *ev = epf_virtio_net_of_item(item);
	size_t n = len && page[len - 1] == '\n' ? len - 1 : len;
	char name[IFNAMSIZ] = { };

	if (n >= IFNAMSIZ)
		return -ENAMETOOLONG;
	memcpy(name, page, n);
	if (!dev_valid_name(name))
		return -EINVAL;
	guard(mutex)(&ev->lock);
	if (ev->bound)
		return -EBUSY;
	strscpy(ev->options.net.netdev, name, IFNAMSIZ);
	return len;
}

struct configfs_attribute epf_virtio_net_attr_netdev = {
	.ca_name = "netdev",
	.ca_mode = 0644,
	.ca_owner = THIS_MODULE,
	.show = epf_virtio_net_netdev_show,
	.store = epf_virtio_net_netdev_store,
};
