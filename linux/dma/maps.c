// SPDX-License-Identifier: GPL-2.0
/*
 * Maps of the outbound window, as DMA has to know them
 *
 * Clients look a map up in any context, so they are RCU readers.  Those that
 * change maps hold qemu_ep.cmd.lock.
 */
#include <linux/cleanup.h>
#include <linux/maple_tree.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "../controller/controller.h"
#include "maps.h"

struct qemu_ep_map {
	u64 offset;
	u64 size;
	u64 pci_addr;
	u8 page;
	struct rcu_head rcu;
};

void qemu_ep_maps_remove(struct qemu_ep *ep, u64 offset)
{
	struct qemu_ep_map *old = mtree_erase(&ep->window.maps, offset);

	if (old)
		kfree_rcu(old, rcu);
}

int qemu_ep_maps_add(struct qemu_ep *ep, u8 page, u64 offset, u64 pci_addr,
		     u64 size)
{
	struct qemu_ep_map *map = kzalloc(sizeof(*map), GFP_KERNEL);
	int ret;

	qemu_ep_maps_remove(ep, offset);
	if (!map)
		return -ENOMEM;

	map->offset = offset;
	map->size = size;
	map->pci_addr = pci_addr;
	map->page = page;
	ret = mtree_store_range(&ep->window.maps, offset, offset + size - 1,
				map, GFP_KERNEL);
	if (ret)
		kfree(map);
	return ret;
}

int qemu_ep_maps_locate(struct qemu_ep *ep, u64 addr, u64 len,
			struct qemu_ep_location *loc)
{
	const struct qemu_ep_map *map;
	u64 offset = addr - ep->window.base;

	loc->addr = addr;
	loc->size = len;
	loc->host = addr >= ep->window.base && offset < ep->window.size;
	loc->page = 0;
	if (!loc->host)
		return 0;

	guard(rcu)();
	map = mtree_load(&ep->window.maps, offset);
	if (!map)
		return -EFAULT;
	loc->addr = map->pci_addr + (offset - map->offset);
	loc->size = min(len, map->size - (offset - map->offset));
	loc->page = map->page;
	return 0;
}

void qemu_ep_maps_init(struct qemu_ep *ep)
{
	mt_init_flags(&ep->window.maps, MT_FLAGS_USE_RCU);
}

void qemu_ep_maps_exit(struct qemu_ep *ep)
{
	struct qemu_ep_map *map;
	unsigned long index = 0;

	mt_for_each(&ep->window.maps, map, index, ULONG_MAX)
		kfree(map);
	mtree_destroy(&ep->window.maps);
}
