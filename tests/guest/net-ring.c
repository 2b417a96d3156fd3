/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net-ring NETDEV RX TX: has the driver of a network device change the sizes
 * of its rings, as ethtool -G does.  virtio_net resets the queues for that.
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    struct ethtool_ringparam rings = { .cmd = ETHTOOL_GRINGPARAM };
    struct ifreq request = { .ifr_data = (void *)&rings };
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (argc != 4 || strlen(argv[1]) >= IFNAMSIZ) {
        fprintf(stderr, "usage: net-ring NETDEV RX TX\n");
        return 2;
    }
    strcpy(request.ifr_name, argv[1]);
    if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request)) {
        perror("ETHTOOL_GRINGPARAM");
        return 1;
    }
    rings.cmd = ETHTOOL_SRINGPARAM;
    rings.rx_pending = atoi(argv[2]);
    rings.tx_pending = atoi(argv[3]);
    if (ioctl(fd, SIOCETHTOOL, &request)) {
        perror("ETHTOOL_SRINGPARAM");
        return 1;
    }
    return 0;
}
